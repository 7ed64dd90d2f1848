//! The PC, put together: a Q35 with its ICH9, as an [`Engine`].
//!
//! # Lock order
//! Outer before inner: PCI root; a device; interrupt lines and routers; the hypervisor's own locks. The screen's lock is
//! outside of all of them, since drawing first drains the writes that have gathered for the display adapter. Bus tables
//! and the driver's queue are leaves.

mod assembly;
pub mod board;
mod exits;
mod faults;
mod firmware;
pub mod kernel;
pub mod memory;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use hypervisor::{
    CoalescedRange, Mapping, Partition, StateError,
    loader::Entry,
    memory::GuestMemory,
    vcpu::{Exits, StartState, Vcpus},
};
use machine::{
    console::{Frame, Input, Rect, Screen, TextScreen},
    engine::{Engine, EngineError, InputTarget},
    registers::Bank,
    time::{Clock, TimerQueue},
};
use parking_lot::Mutex;
use storage::disk::Disk;

pub use self::{
    assembly::{AssemblyError, Options},
    board::{Board, BoardError, BoardOptions, Drive, DriveKind},
    kernel::DirectKernel,
    memory::FirmwareError,
};
use crate::{
    ahci::MediumError,
    i8042::I8042,
    pci::Slot,
    speaker::Speaker,
    uart::Uart,
    vga::{Vga, VgaScreen},
};

const HOST_BRIDGE_SLOT: Slot = Slot { device: 0, function: 0 };
const VGA_SLOT: Slot = Slot { device: 1, function: 0 };
const LPC_SLOT: Slot = Slot { device: 31, function: 0 };
const AHCI_SLOT: Slot = Slot { device: 31, function: 2 };

/// A PC.
///
/// Dropping it stops everything first, and closes its images.
pub struct Pc {
    running: bool,
    vcpus: Arc<Vcpus>,
    timers: TimerQueue,
    clock: Clock,
    board: Board,
    parts: Parts,
    boot: Boot,
    memory: GuestMemory,
    memory_bytes: u64,
    _video_window: CoalescedRange,
    _flash: Mapping,
    partition: Partition,
}

/// A disc can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// There is no drive of that id.
    #[error("there is no drive '{0}'")]
    None(String),
    /// It can't be changed now.
    #[error(transparent)]
    Medium(#[from] MediumError),
}

/// What a PC starts.
enum Boot {
    Firmware(memory::Flash),
    Kernel(DirectKernel),
}

/// Parts of a PC that are used from outside, without the driver. Clones are the same parts.
#[derive(Clone)]
pub struct Parts {
    vga: Arc<Mutex<Vga>>,
    /// Weak, so that parts which somebody still holds don't keep a machine's processors and disks.
    vcpus: Weak<Vcpus>,
    i8042: Arc<Mutex<I8042>>,
    serial: Arc<Mutex<Uart>>,
    speaker: Arc<Mutex<Speaker>>,
}

impl Parts {
    /// The display adapter's picture. It has one reader: what one has drawn, another doesn't hear of.
    #[must_use]
    pub fn screen(&self) -> Box<dyn Screen> {
        Box::new(PcScreen { screen: VgaScreen::new(self.vga.clone()), vcpus: self.vcpus.clone() })
    }

    /// Where keys and pointer go.
    #[must_use]
    pub fn input(&self) -> Arc<dyn InputTarget> {
        Arc::new(PcInput(self.i8042.clone()))
    }

    /// Looks again at what the speaker plays, and tells its sink of a change; see [`Speaker::tone`].
    pub fn refresh_speaker(&self) {
        self.speaker.lock().tone();
    }

    /// There is room again where the first serial port's output goes.
    pub fn serial_ready(&self) {
        self.serial.lock().output_ready();
    }

    /// Gives bytes to the first serial port, as they arrive from its line. Gives back how many it had room for.
    #[must_use]
    pub fn receive_serial(&self, bytes: &[u8]) -> usize {
        self.serial.lock().receive(bytes)
    }
}

impl Pc {
    /// The parts that are used without the driver.
    #[must_use]
    pub fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// What the host refused and what was tolerated, and what the guest has done that a person should know of, a sentence
    /// each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.partition.notes().iter().map(ToString::to_string).collect();
        let open = self
            .board
            .drive_ports
            .iter()
            .filter(|(_, port)| self.board.drives.tray(**port).is_ok_and(|tray| tray.open && tray.has_disc));
        let open = open.map(|(id, _)| {
            format!(
                "The guest has ejected the disc in '{id}'. It lies in the open tray until it is taken out or put back."
            )
        });
        notes.extend(open);
        notes
    }

    /// Puts a disc into the drive of that id, instead of the one that is in it.
    ///
    /// # Errors
    /// [`DriveError`]: there is no such drive, or the guest holds the disc.
    pub fn insert(&self, drive: &str, disc: Arc<dyn Disk>, force: bool) -> Result<(), DriveError> {
        Ok(self.board.drives.insert(self.port(drive)?, disc, force)?)
    }

    /// Takes the disc out of the drive of that id.
    ///
    /// # Errors
    /// As [`Pc::insert`].
    pub fn eject(&self, drive: &str, force: bool) -> Result<(), DriveError> {
        self.board.drives.eject(self.port(drive)?, force)?;
        Ok(())
    }

    fn port(&self, drive: &str) -> Result<u8, DriveError> {
        self.board.drive_ports.get(drive).copied().ok_or_else(|| DriveError::None(drive.to_owned()))
    }

    /// What has happened since the start, by name: `"vcpu0.port-reads"`, `"disk0.read-bytes"` and so on.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        for (vcpu, exits) in self.vcpus.exits().iter().enumerate() {
            counters.extend(named(exits).map(|(kind, count)| (format!("vcpu{vcpu}.{kind}"), count)));
        }
        for (id, &port) in &self.board.drive_ports {
            let Some(stats) = self.board.drives.stats(port) else { continue };
            for (name, value) in [
                ("reads", stats.reads),
                ("read-bytes", stats.read_bytes),
                ("writes", stats.writes),
                ("written-bytes", stats.written_bytes),
                ("flushes", stats.flushes),
                ("discards", stats.discards),
                ("discarded-bytes", stats.discarded_bytes),
            ] {
                counters.insert(format!("{id}.{name}"), value);
            }
        }
        counters.insert("speaker.tone-changes".into(), self.board.speaker.lock().tone_changes());
        counters
    }

    /// What the processors and the interrupt controllers hold. The processors stand still for that long, and time goes on.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn registers(&self) -> Result<Vec<Bank>, StateError> {
        self.vcpus.registers()
    }

    /// Brings processors and memory to where the guest's first instruction is.
    fn prepare(&mut self) -> Result<(), EngineError> {
        let start = match &self.boot {
            Boot::Firmware(flash) => {
                flash.shadow(&self.memory)?;
                StartState::Firmware
            }
            Boot::Kernel(kernel) => {
                kernel::set_up_chipset(&self.board.buses, HOST_BRIDGE_SLOT, LPC_SLOT);
                match kernel.load(&self.memory, self.memory_bytes, &self.board.tables)? {
                    Entry::Pvh { entry, start_info } => StartState::Pvh { entry, start_info },
                    Entry::Linux64 { entry, boot_params } => StartState::Linux64 { entry, boot_params },
                }
            }
        };
        Ok(self.vcpus.reset(start)?)
    }
}

fn named(exits: &Exits) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("port-reads", exits.port_reads),
        ("port-writes", exits.port_writes),
        ("mmio-reads", exits.mmio_reads),
        ("mmio-writes", exits.mmio_writes),
        ("coalesced-writes", exits.coalesced),
        ("refused-msrs", exits.msrs),
        ("interrupted", exits.interrupted),
        ("other-exits", exits.other),
    ]
    .into_iter()
}

impl Engine for Pc {
    fn resume(&mut self) -> Result<(), EngineError> {
        self.board.start();
        self.clock.resume();
        self.timers.clock_changed();
        if let Err(error) = self.vcpus.resume() {
            self.clock.pause();
            self.board.stop();
            return Err(error.into());
        }
        self.running = true;
        Ok(())
    }

    fn pause(&mut self) -> Result<(), EngineError> {
        self.running = false;
        let paused = self.vcpus.pause();
        self.clock.pause();
        self.board.stop();
        Ok(paused?)
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        self.board.reset();
        self.prepare()
    }

    fn press_power_button(&mut self) {
        self.board.lpc.lock().press_power_button();
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        if self.running
            && let Err(error) = self.pause()
        {
            tracing::warn!(%error, "the machine is taken apart all the same");
        }
    }
}

/// The display adapter's picture, with what has gathered for it.
struct PcScreen {
    screen: VgaScreen,
    vcpus: Weak<Vcpus>,
}

impl PcScreen {
    /// Lets the writes that have gathered arrive at the adapter.
    fn drain(&self) {
        if let Some(vcpus) = self.vcpus.upgrade() {
            vcpus.drain_coalesced();
        }
    }
}

impl Screen for PcScreen {
    fn draw(&mut self, frame: &mut Frame, all: bool) -> Vec<Rect> {
        self.drain();
        self.screen.draw(frame, all)
    }

    fn size(&self, frame: &Frame) -> (u32, u32) {
        self.drain();
        self.screen.size(frame)
    }

    fn text(&self) -> Option<TextScreen> {
        self.drain();
        self.screen.text()
    }
}

/// Keyboard and mouse.
struct PcInput(Arc<Mutex<I8042>>);

impl InputTarget for PcInput {
    fn input(&self, input: &Input) -> bool {
        self.0.lock().input(input)
    }

    fn is_taken(&self) -> bool {
        self.0.lock().keyboard_idle()
    }
}
