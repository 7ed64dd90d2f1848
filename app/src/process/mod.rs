//! A machine's process: engine and control socket. Its window is another process, which may come and go. See `docs/architecture.md`.

mod connections;
pub(crate) mod handover;
mod input;
mod log;
mod machine;
mod media;
mod serial;
mod server;
mod window;

use std::{
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use ::machine::{
    definition::Definition,
    driver::{Driver, End, Handle, Queue, Request},
};
use anyhow::{Context, Result};
use display::sound::Mixer;
use hypervisor::loader::Kernel;
use signal_hook::{consts, iterator::Signals};
use storage::library::{MachineLock, RunRecord};
use vmm_engine::ahci::DEFAULT_WORKERS;
use vmm_engine::{
    pc::{BoardOptions, DirectKernel, Options, Pc},
    speaker::Tone,
};

use self::{
    handover::{Handover, Received},
    machine::Machine,
    serial::SerialLine,
};
use crate::output;

/// How a run's end is told to whoever waits for the process.
fn exit_code(end: &End) -> ExitCode {
    match end {
        End::PoweredOff => ExitCode::SUCCESS,
        End::Killed => ExitCode::from(3),
        End::Failed(_) => ExitCode::from(4),
    }
}

/// Runs the machine that was handed over, until it is off.
pub(crate) fn main() -> ExitCode {
    let (handover, mut files) = match handover::receive() {
        Ok(received) => received,
        Err(error) => return refuse(false, &error),
    };
    let detached = handover.detached;
    let taken = Definition::parse(&handover.definition).map_err(anyhow::Error::from).and_then(|definition| {
        let ownership = Ownership::take(&handover, &definition, &mut files)?;
        Ok((ownership, definition))
    });
    let (ownership, definition) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            let _ = std::fs::remove_file(&handover.socket_path);
            if let Err(error) = RunRecord::withdraw_own(&handover.folder) {
                output::error(&error.into());
            }
            return refuse(detached, &error);
        }
    };
    let (code, well) = match Run::begin(&handover, &definition, &mut files) {
        Ok(run) => {
            if detached && let Err(error) = report_started() {
                tracing::warn!(%error, "nobody heard that the machine has started");
            }
            run.finish()
        }
        // Everything was undone: the machine is off, or as crashed as before.
        Err(error) => {
            tracing::error!(target: log::ONLY_FILE, "{}", output::sentence(&error));
            handover.remove_made();
            (refuse(detached, &error), !handover.after_crash)
        }
    };
    ownership.give_back(well);
    code
}

/// What says to others that this process runs the machine.
struct Ownership {
    lock: MachineLock,
    socket: PathBuf,
    _inhibitor: Option<File>,
}

impl Ownership {
    fn take(handover: &Handover, definition: &Definition, files: &mut Received) -> Result<Self> {
        log::to_file(files.take(handover.log)?, !handover.detached);
        let lock = files.take(handover.lock)?.into();
        let lock = MachineLock::from_fd(lock, &handover.folder, definition.name.as_str())?;
        let inhibitor = files.take_if(handover.inhibitor)?;
        Ok(Ownership { lock, socket: handover.socket_path.clone(), _inhibitor: inhibitor })
    }

    /// The run is over. The socket goes first: whoever finds the lock free finds no socket. The record stays of a run that
    /// did not end `well`: it is what says that the machine has crashed.
    fn give_back(self, well: bool) {
        let _ = std::fs::remove_file(&self.socket);
        if well && let Err(error) = self.lock.end_run() {
            tracing::warn!(%error, "the record of this run stays");
        }
    }
}

/// The machine can't run: says why to whoever waits, in one line.
fn refuse(detached: bool, error: &anyhow::Error) -> ExitCode {
    if detached {
        let _ = output::line(output::sentence(error));
    } else {
        output::error(error);
    }
    ExitCode::FAILURE
}

/// Says to whoever started the process that the machine runs, and lets go of their terminal.
fn report_started() -> Result<()> {
    let mut output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    output.write_all(crate::STARTED.as_bytes())?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}

struct Run {
    driver: Driver<Pc>,
    machine: Arc<Machine>,
}

impl Run {
    fn begin(handover: &Handover, definition: &Definition, files: &mut Received) -> Result<Run> {
        let listener = UnixListener::from(OwnedFd::from(files.take(handover.socket)?));
        tracing::info!(name = definition.name.as_str(), version = env!("CARGO_PKG_VERSION"), "the machine starts");
        let serial = SerialLine::new(files.take_if(handover.serial)?).context("the serial port's thread")?;
        let drives = media::open_drives(definition, handover, files)?;
        let order = definition.boot_order();
        let boot_order = order.iter().filter_map(|id| drives.iter().position(|drive| drive.id == *id)).collect();
        let mixer = Mixer::spawn().context("the sound's thread")?;
        let mut speaker = mixer.speaker();
        let board = BoardOptions {
            uuid: definition.uuid,
            cpus: definition.cpus,
            memory_bytes: definition.memory.as_bytes(),
            video_rom: files
                .take_if(handover.video_rom)?
                .map(read)
                .transpose()
                .context("the video ROM can't be read")?,
            drives,
            drive_workers: DEFAULT_WORKERS,
            boot_order,
            serial: Box::new(serial::Port(serial.clone())),
            tones: Box::new(move |_, tone: Option<Tone>| speaker(tone.map(Tone::hertz))),
            debug: log::firmware_lines(),
        };
        let options = Options {
            board,
            firmware: read(files.take(handover.firmware)?).context("the firmware can't be read")?,
            kernel: direct_kernel(definition, handover, files)?,
        };
        let queue = Queue::new();
        let pc = Pc::new(options, queue.events())?;
        let parts = pc.parts();
        let driver = queue.drive(pc, false).context("the driver's thread")?;
        let handle = driver.handle();
        let port = parts.clone();
        serial.connect(move || port.serial_ready());
        let machine = Machine::new(handle.clone(), parts, serial.clone(), mixer).context("the display's thread")?;
        let machine = Arc::new(machine);
        listen_to_signals(handle)?;
        server::serve(listener, machine.clone()).context("the control socket's thread")?;
        serial.open();
        Ok(Run { driver, machine })
    }

    /// Waits for the end of the run. Gives its exit status, and whether it ended as a person or the guest wanted.
    fn finish(self) -> (ExitCode, bool) {
        let end = self.driver.join();
        self.machine.finish();
        match &end {
            End::Failed(reason) => tracing::error!("the machine has failed: {reason}"),
            end => tracing::info!(?end, "the machine is off"),
        }
        (exit_code(&end), !matches!(end, End::Failed(_)))
    }
}

/// The window that `tandem run` has opened is a child of the process that became the machine's.
fn bury_children() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}

fn read(mut file: File) -> std::io::Result<Vec<u8>> {
    /// Firmware is at most a few MiB.
    const LIMIT: u64 = 16 << 20;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn direct_kernel(definition: &Definition, handover: &Handover, files: &mut Received) -> Result<Option<DirectKernel>> {
    let Some(file) = files.take_if(handover.kernel)? else { return Ok(None) };
    let kernel = Kernel::read(file).context("the kernel can't be used")?;
    let command_line = definition.kernel.as_ref().map(|kernel| kernel.cmdline.clone()).unwrap_or_default();
    Ok(Some(DirectKernel { kernel, initrd: files.take_if(handover.initrd)?, command_line }))
}

/// Presses the power button, for whoever can't reach the control socket.
pub(crate) const POWER_BUTTON: rustix::process::Signal = rustix::process::Signal::USR1;
/// Pulls the plug, likewise.
pub(crate) const PLUG: rustix::process::Signal = rustix::process::Signal::USR2;

/// Ctrl+C and the like press the power button once, and pull the plug the second time. A terminal that goes away
/// leaves the machine running. [`POWER_BUTTON`] and [`PLUG`] mean the same each time.
fn listen_to_signals(handle: Handle<Pc>) -> Result<()> {
    let mut signals = Signals::new([
        consts::SIGINT,
        consts::SIGTERM,
        consts::SIGHUP,
        consts::SIGCHLD,
        POWER_BUTTON.as_raw(),
        PLUG.as_raw(),
    ])?;
    bury_children();
    let listen = move || {
        let mut asked = false;
        for signal in signals.forever().filter(|signal| *signal != consts::SIGHUP) {
            let request = match signal {
                consts::SIGCHLD => {
                    bury_children();
                    continue;
                }
                _ if signal == POWER_BUTTON.as_raw() => Request::PowerButton,
                _ if signal == PLUG.as_raw() || asked => Request::Kill,
                _ => {
                    asked = true;
                    Request::PowerButton
                }
            };
            tracing::info!(signal, ?request, "a signal");
            if let Err(error) = handle.request(request) {
                tracing::warn!(%error, "the signal had no effect");
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(())
}
