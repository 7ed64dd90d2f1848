//! Starting a machine: everything that its process needs is opened here, by name, and handed over.

use std::time::SystemTime;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::{fs::FileTypeExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use machine::{definition::Disk, size::Size, timestamp::Timestamp};
use storage::{
    image,
    library::{Library, Machine, RunRecord},
};

use crate::{
    address, firmware, inhibit, output,
    process::handover::{self, Files, Handover, ImageFile},
    serial_file::{self, Kept},
};

/// Becomes the process of the machine called `name`. Returns only if that failed; nothing is left then. A machine that had
/// crashed still counts as crashed: its disks were not looked after.
///
/// # Errors
/// It runs already, one of its files can't be used, or the host refuses.
pub(crate) fn run(library: &Library, name: &str, detached: bool) -> Result<std::convert::Infallible> {
    let (machine, lock) = library.lock(name)?;
    let definition = machine.definition();
    if let Some(here) = memory_of_this_computer().filter(|here| *here < definition.memory) {
        bail!(
            "'{name}' has {} of memory, and this computer only {} MiB. Nothing was changed. \
             Give it less: `tandem edit NAME --memory SIZE`",
            definition.memory,
            here.as_bytes() >> 20
        );
    }
    let mut files = Files::default();
    let (firmware, video_rom) = firmware::open()?;
    let mut handover = Handover {
        definition: definition.to_toml(),
        folder: machine.folder().to_owned(),
        firmware: files.add(firmware),
        video_rom: Some(files.add(video_rom)),
        // Before anybody is told that the machine runs: a message bus may take its time.
        inhibitor: inhibit::shutdown(machine.name().as_str()).map(|lock| files.add(lock)),
        detached,
        after_crash: lock.follows_a_crash(),
        ..Handover::default()
    };
    for disk in &definition.disks {
        let chain = open_chain(&machine, disk, &mut files)?;
        handover.disks.insert(disk.id.clone(), chain);
        if disk.throw_away_writes {
            let scratch = image::scratch_file(machine.folder())
                .with_context(|| format!("no room for what is written to the disk '{}' for a while", disk.id))?;
            handover.scratch.insert(disk.id.clone(), files.add(scratch));
        }
    }
    for drive in &definition.cdroms {
        if let Some(file) = &drive.file {
            let path = machine.resolve(file);
            let disc = open(&path, false).with_context(|| format!("the disc in '{}' can't be used", drive.id))?;
            handover.discs.insert(drive.id.clone(), files.add(disc));
        }
    }
    if let Some(kernel) = &definition.kernel {
        handover.kernel =
            Some(files.add(open(&machine.resolve(&kernel.file), false).context("the kernel can't be used")?));
        if let Some(initrd) = &kernel.initrd {
            let path = machine.resolve(initrd);
            handover.initrd = Some(files.add(open(&path, false).context("the initial file system can't be used")?));
        }
    }
    let now = Timestamp::from(SystemTime::now());
    let (log, log_path) = machine.new_log(now)?;
    handover.log = files.add(log);
    let begin = |socket: PathBuf| {
        // The record first: whoever finds one that nobody owns removes the socket that it names.
        lock.begin_run(&RunRecord::of_this_process(now, socket.clone(), Some(log_path.clone())))?;
        let listener = address::listen(&socket).with_context(|| format!("can't listen at {}", socket.display()))?;
        anyhow::Ok((listener, socket))
    };
    // In the machine's folder nobody tidies up. Not every file system takes a socket.
    let listening = begin(machine.socket_path())
        .or_else(|error| begin(library.socket_path(definition.uuid)?).with_context(|| output::sentence(&error)));
    let started = listening.and_then(|(listener, socket)| {
        handover.socket_path = socket;
        handover.socket = files.add(listener);
        if let Some(serial) = &definition.serial {
            let opened =
                serial_file::open(&machine.resolve(&serial.file), &Kept::of_library(library)?, handover.after_crash)?;
            handover.serial_made = opened.made;
            handover.serial = Some(files.add(opened.file));
        }
        handover.lock = files.add(rustix::io::dup(&lock)?);
        Err(handover::become_machine(&handover, machine.name().as_str(), &files))
    });
    let _ = fs::remove_file(&handover.socket_path);
    let _ = fs::remove_file(&log_path);
    handover.remove_made();
    if !handover.after_crash {
        let _ = lock.end_run();
    }
    started
}

/// Starts the machine called `name` in a process of its own, and waits until it runs.
///
/// # Errors
/// What that process says.
pub(crate) fn start(library: &Library, name: &str) -> Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("tandem")
        .args(["run", "--detached", "--", name])
        .env("TANDEM_HOME", library.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("can't start the machine's process")?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said).context("the machine's process can't be heard")?;
    }
    if said == crate::STARTED {
        // If it ends before we do, somebody has to have waited for it.
        let _ = std::thread::Builder::new().name("child".into()).spawn(move || child.wait());
        return Ok(());
    }
    let _ = child.wait();
    match said.trim() {
        "" => bail!("'{name}' ended while it was starting: `tandem logs` shows why"),
        said => bail!("{said}"),
    }
}

/// The memory of this computer, if it tells.
pub(crate) fn memory_of_this_computer() -> Option<Size> {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_of(&text))
}

/// The memory of the host that /proc/meminfo tells of (proc_meminfo(5)).
fn memory_of(text: &str) -> Option<Size> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim().strip_suffix(" kB")?.parse().ok().map(Size::kib)
}

fn open_chain(machine: &Machine, disk: &Disk, files: &mut Files) -> Result<Vec<ImageFile>> {
    let mut chain = Vec::new();
    for (index, image) in disk.images.iter().enumerate() {
        let top = index + 1 == disk.images.len();
        let read_only = !top || image.read_only || disk.throw_away_writes;
        let file = open(&machine.resolve(&image.file), !read_only)
            .with_context(|| format!("the disk '{}' can't be used", disk.id))?;
        chain.push(ImageFile { file: files.add(file), format: image.format, read_only });
    }
    Ok(chain)
}

/// Opens a file or block device; never waits, as it would for a pipe.
///
/// # Errors
/// With its path, and what to do.
pub(crate) fn open(path: &Path, write: bool) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let shown = path.display();
    let file = OpenOptions::new().read(true).write(write).custom_flags(nonblocking).open(path).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file {shown}"),
            io::ErrorKind::PermissionDenied => {
                let verb = if write { "write" } else { "read" };
                format!("this account may not {verb} {shown}")
            }
            io::ErrorKind::IsADirectory => format!("{shown} is a folder"),
            _ => format!("can't open {shown}"),
        };
        anyhow::Error::new(error).context(what)
    })?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        bail!("{shown} is a folder");
    }
    if !kind.is_file() && !kind.is_block_device() {
        bail!("{shown} is neither a file nor a disk");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_memory_is_understood() {
        let text = "MemTotal:       24586188 kB\nMemFree:         1 kB\n";
        assert_eq!(memory_of(text), Some(Size::kib(24_586_188)));
        assert_eq!(memory_of("MemFree: 1 kB\n"), None);
        assert!(memory_of_this_computer().is_some());
    }
}
