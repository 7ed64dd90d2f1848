//! The machine under test: a board of a PC with memory, disks and time of its own, and no processor.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hypervisor::memory::{DeviceMemory, DirtyLog, GuestMemory, PAGE_SIZE, guest_memory};
use machine::{
    console::{Frame, Screen},
    device::DecodedRange,
    engine::GuestEvent,
    line::{LineTarget, MsiTarget},
    saved::SavedUnit,
    time::{Clock, Timer},
};
use parking_lot::Mutex;
use rustix::{fs::SeekFrom, io::Errno};
use storage::disk::{Disk, check_range, memory::MemoryDisk, total_len};
use uuid::Uuid;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileSlice};
use vmm_engine::{
    pc::{Board, BoardOptions, Drive, DriveKind, board::Sockets, memory},
    pci::MemoryMapper,
    speaker::PitChannel2,
    uart::SerialPort,
    vga::VgaScreen,
};

/// The guest's memory, in bytes.
pub const MEMORY: u64 = memory::MEMORY_MIN;
/// AHCI ports with disks, and with CD drives.
pub const DISKS: usize = 2;
pub const CD_DRIVES: usize = 2;
/// What the serial port's other side has room for, at first.
const SERIAL_ROOM: usize = 40;
/// The wall clock at power-on.
const POWER_ON: Duration = Duration::from_secs(1_790_000_000);
/// Commands of a drive end in this time, or something waits for ever.
const PATIENCE: Duration = Duration::from_secs(4);
/// A timer that goes off more often at one point of time would keep its thread busy for ever.
const FIRINGS: usize = 64;

/// Everything outside of the board that a device can change.
#[derive(Default)]
struct Wires {
    /// Levels of interrupt inputs: of the 8259 pair alone (`true`) or of both chips.
    levels: Mutex<BTreeMap<(bool, u32), bool>>,
    edges: AtomicUsize,
    messages: Mutex<Vec<(u64, u32)>>,
    events: Mutex<Vec<GuestEvent>>,
    sent: Mutex<Vec<u8>>,
    serial_room: AtomicUsize,
    tone: Mutex<Option<u32>>,
    gate: Mutex<bool>,
    shown: Mutex<Vec<(u64, DeviceMemory, Arc<Log>)>>,
}

struct Inputs(Arc<Wires>, bool);
impl LineTarget for Inputs {
    fn set_level(&self, input: u32, high: bool) {
        self.0.levels.lock().insert((self.1, input), high);
        self.0.edges.fetch_add(1, Ordering::SeqCst);
    }
    fn restore_level(&self, input: u32, high: bool) {
        self.0.levels.lock().insert((self.1, input), high);
    }
}
struct Messages(Arc<Wires>);
impl MsiTarget for Messages {
    fn signal(&self, address: u64, data: u32) {
        self.0.messages.lock().push((address, data));
    }
}

struct Counter2(Arc<Wires>);
impl PitChannel2 for Counter2 {
    fn output(&self) -> bool {
        *self.0.gate.lock()
    }
    fn set_gate(&self, high: bool) {
        *self.0.gate.lock() = high;
    }
    fn square_wave_count(&self) -> Option<u32> {
        *self.0.tone.lock()
    }
}

struct Cable(Arc<Wires>);
impl SerialPort for Cable {
    fn send(&mut self, bytes: &[u8]) -> usize {
        let taken = self.0.serial_room.load(Ordering::SeqCst).min(bytes.len());
        self.0.serial_room.fetch_sub(taken, Ordering::SeqCst);
        self.0.sent.lock().extend(&bytes[..taken]);
        taken
    }
    fn receiver_ready(&mut self) {}
}

/// Shows device memory to whoever accesses the machine's addresses, with a log as KVM's.
struct Mapper {
    wires: Arc<Wires>,
    memory: GuestMemory,
}
struct Shown {
    wires: Arc<Wires>,
    base: u64,
    memory: DeviceMemory,
    log: Arc<dyn DirtyLog>,
}

/// Pages that were written.
struct Log(Mutex<Vec<u64>>);

impl Log {
    fn new(bytes: u64) -> Log {
        Log(Mutex::new(vec![0; bytes.div_ceil(PAGE_SIZE * 64) as usize]))
    }

    fn add(&self, at: usize, len: usize) {
        let mut pages = self.0.lock();
        for page in [at, at + len - 1].map(|at| at / PAGE_SIZE as usize) {
            pages[page / 64] |= 1 << (page % 64);
        }
    }
}

impl DirtyLog for Log {
    fn take(&self) -> io::Result<Vec<u64>> {
        let mut pages = self.0.lock();
        let none = vec![0; pages.len()];
        Ok(std::mem::replace(&mut pages, none))
    }
}
impl MemoryMapper for Mapper {
    fn map(&self, base: u64, memory: &DeviceMemory) -> Result<Box<dyn Send>, Box<dyn std::error::Error + Send + Sync>> {
        let overlaps = self
            .memory
            .iter()
            .any(|region| base < region.start_addr().0 + region.len() && region.start_addr().0 < base + memory.len());
        if overlaps {
            return Err("memory is there already".into());
        }
        let log = Arc::new(Log::new(memory.len()));
        memory.set_log(Some(log.clone()));
        self.wires.shown.lock().push((base, memory.clone(), log.clone()));
        Ok(Box::new(Shown { wires: self.wires.clone(), base, memory: memory.clone(), log }))
    }
}
impl Drop for Shown {
    fn drop(&mut self) {
        self.memory.detach_log(&self.log);
        self.wires.shown.lock().retain(|(base, ..)| *base != self.base);
    }
}

/// A disc of a DVD's length that nobody has to keep.
struct Blank;
impl Disk for Blank {
    fn len_bytes(&self) -> u64 {
        361_000 * 2048
    }
    fn is_read_only(&self) -> bool {
        true
    }
    fn read(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        check_range(offset, total_len(buffers) as u64, self.len_bytes())?;
        let pattern = [(offset >> 11) as u8; 4096];
        for buffer in buffers {
            for at in (0..buffer.len()).step_by(pattern.len()) {
                let len = pattern.len().min(buffer.len() - at);
                let _ = buffer.write_slice(&pattern[..len], at);
            }
        }
        Ok(())
    }
    fn write(&self, _: u64, _: &[VolatileSlice<'_>]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A disc to put into a drive.
pub fn disc(kind: u8) -> Arc<dyn Disk> {
    match kind % 3 {
        // The last block is only begun.
        0 => Arc::new(
            MemoryDisk::with_content((0..75 * 2048 + 512).map(|at: u32| (at >> 9) as u8).collect()).read_only(),
        ),
        1 => Arc::new(Blank),
        _ => Arc::new(MemoryDisk::new(512).read_only()),
    }
}

/// A machine.
pub struct Machine {
    pub board: Board,
    pub memory: GuestMemory,
    pub clock: Clock,
    pub disks: Vec<Arc<MemoryDisk>>,
    /// What lies in the CD drives.
    pub discs: Vec<Option<Arc<dyn Disk>>>,
    /// Commands are carried out one by one, so that machines with the same past have the same future.
    pub is_serial: bool,
    timers: Vec<Timer>,
    screen: VgaScreen,
    pub frame: Frame,
    wires: Arc<Wires>,
}

impl Machine {
    /// A machine that runs, in power-on state.
    pub fn new(is_serial: bool) -> Machine {
        let disks = vec![Arc::new(MemoryDisk::new(256 << 10)), Arc::new(MemoryDisk::new(20 << 10).read_only())];
        let machine = Self::with(is_serial, disks, vec![Some(disc(0)), None], Clock::manual(POWER_ON), Arc::default());
        machine.wires.serial_room.store(SERIAL_ROOM, Ordering::SeqCst);
        machine.board.start();
        machine
    }

    fn with(
        is_serial: bool,
        disks: Vec<Arc<MemoryDisk>>,
        discs: Vec<Option<Arc<dyn Disk>>>,
        clock: Clock,
        wires: Arc<Wires>,
    ) -> Machine {
        let memory = guest_memory(&memory::ranges(MEMORY)).expect("guest memory");
        let hard = disks.iter().map(|disk| DriveKind::Disk(disk.clone(), "FUZZ".into()));
        let drives = hard.chain(discs.iter().map(|disc| DriveKind::Cd(disc.clone())));
        let drives = drives.enumerate().map(|(index, kind)| Drive { id: format!("drive{index}"), kind });
        let options = BoardOptions {
            uuid: Uuid::nil(),
            cpus: 2,
            memory_bytes: MEMORY,
            video_rom: Some(vec![0x55; 3000]),
            drives: drives.collect(),
            drive_workers: if is_serial { 1 } else { 3 },
            boot_order: vec![2, 0],
            serial: Box::new(Cable(wires.clone())),
            tones: Box::new(|_, _| ()),
            debug: Box::new(|_| ()),
        };
        let timers = Mutex::new(Vec::new());
        let made = || {
            let timer = Timer::detached();
            timers.lock().push(timer.clone());
            timer
        };
        let events = wires.clone();
        let sockets = Sockets {
            memory: memory.clone(),
            clock: clock.clone(),
            timers: &made,
            isa: Arc::new(Inputs(wires.clone(), false)),
            pic: Arc::new(Inputs(wires.clone(), true)),
            messages: Arc::new(Messages(wires.clone())),
            pit: Arc::new(Counter2(wires.clone())),
            mapper: Arc::new(Mapper { wires: wires.clone(), memory: memory.clone() }),
            events: Arc::new(move |event| events.events.lock().push(event)),
        };
        let board = Board::new(options, sockets).expect("a board");
        let screen = VgaScreen::new(board.vga.clone());
        let timers = timers.into_inner();
        Machine { board, memory, clock, disks, discs, is_serial, timers, screen, frame: Frame::default(), wires }
    }

    /// Saves the machine and makes another of it, which must be the same.
    pub fn copy(&self) -> Machine {
        self.board.stop();
        let units = self.board.save().expect("a saved state");
        let wires = Arc::new(Wires {
            sent: Mutex::new(self.wires.sent.lock().clone()),
            serial_room: self.wires.serial_room.load(Ordering::SeqCst).into(),
            tone: Mutex::new(*self.wires.tone.lock()),
            gate: Mutex::new(*self.wires.gate.lock()),
            messages: Mutex::new(self.wires.messages.lock().clone()),
            ..Wires::default()
        });
        let clock = Clock::manual(POWER_ON);
        clock.advance(self.clock.now());
        let disks = self.disks.iter().map(|disk| Arc::new(disk.duplicate())).collect();
        let mut copy = Self::with(self.is_serial, disks, self.discs.clone(), clock, wires);
        copy_memory(&self.memory, &copy.memory);
        copy.frame = self.frame.clone();
        copy.wires.edges.store(0, Ordering::SeqCst);
        copy.board.restore(&units).expect("the saved state is taken over");
        let again = copy.board.save().expect("a saved state");
        for (name, unit) in &units {
            assert!(again[name] == *unit, "{name} is another after a restore: {}", difference(unit, &again[name]));
        }
        assert_eq!(copy.wires.edges.load(Ordering::SeqCst), 0, "a restore makes edges");
        assert!(copy.wires.events.lock().is_empty(), "a restore makes events");
        {
            let (levels, mut restored) = (self.wires.levels.lock(), copy.wires.levels.lock());
            for (input, high) in restored.iter() {
                assert_eq!(levels.get(input).copied().unwrap_or_default(), *high, "the level of {input:?}");
            }
            restored.clone_from(&levels);
        }
        self.board.start();
        copy.board.start();
        copy
    }

    /// Gives a damaged state to a new machine, which must refuse it or live with it.
    pub fn survive(&self, damage: impl FnOnce(&mut BTreeMap<String, SavedUnit>)) -> Option<Machine> {
        self.board.stop();
        let mut units = self.board.save().expect("a saved state");
        self.board.start();
        damage(&mut units);
        let disks = self.disks.iter().map(|disk| Arc::new(disk.duplicate())).collect();
        let other = Self::with(self.is_serial, disks, self.discs.clone(), Clock::manual(POWER_ON), Arc::default());
        copy_memory(&self.memory, &other.memory);
        other.board.restore(&units).is_ok().then(|| {
            other.board.start();
            other
        })
    }

    /// Waits until the drives have nothing to do, and does what the guest asked the machine for. What a full host holds
    /// back stays so until the machine is paused, or saved, the next time.
    pub fn settle(&self) {
        assert!(self.board.drives.wait_until_idle(PATIENCE), "the drives' commands don't end");
        if std::mem::take(&mut *self.wires.events.lock()).contains(&GuestEvent::Reset) {
            self.reset();
        }
    }

    /// The machine stands still for a moment; what was held back is tried again.
    pub fn pause(&self) {
        self.board.stop();
        self.board.start();
    }

    /// As the machine's driver does it.
    pub fn reset(&self) {
        self.board.stop();
        self.board.reset();
        self.board.start();
    }

    /// Time passes; timers go off.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let now = self.clock.now();
        let mut fired = 0;
        while self.timers.iter().any(|timer| timer.fire_if_due(now)) {
            fired += 1;
            assert!(fired < FIRINGS, "a timer goes off for ever");
        }
    }

    /// Draws what changed, which must be what a new reader sees.
    pub fn draw(&mut self, all: bool) {
        self.screen.draw(&mut self.frame, all);
        let (width, height) = self.screen.size(&self.frame);
        assert_eq!((width, height), (self.frame.width(), self.frame.height()));
        let mut whole = self.frame.clone();
        whole.pixels_mut().fill(0x12_3456);
        VgaScreen::new(self.board.vga.clone()).draw(&mut whole, true);
        assert!(whole == self.frame, "a change was not drawn");
        let _ = self.screen.text();
    }

    /// What the PCI functions decode now.
    pub fn decoded(&self) -> Vec<DecodedRange> {
        let decoded = self.board.devices.iter().filter_map(|device| Some(device.lock().pci()?.decoded()));
        decoded.flatten().collect()
    }

    pub fn port_read(&self, port: u16, width: usize) -> u64 {
        let mut data = [0; 8];
        self.board.buses.port_read(port, &mut data[..width]);
        u64::from_le_bytes(data)
    }

    pub fn port_write(&self, port: u16, width: usize, value: u64) {
        self.board.buses.port_write(port, &value.to_le_bytes()[..width]);
    }

    /// Reads as a processor does: memory and the memory of devices are there without an exit.
    pub fn read(&self, address: u64, width: usize) -> u64 {
        let mut data = [0; 8];
        if self.memory.read_slice(&mut data[..width], GuestAddress(address)).is_ok() {
            return u64::from_le_bytes(data);
        }
        match self.shown_at(address, width) {
            Some((memory, _, at)) => memory.bytes().read_slice(&mut data[..width], at).expect("device memory"),
            None => self.board.buses.mmio_read(address, &mut data[..width]),
        }
        u64::from_le_bytes(data)
    }

    pub fn write(&self, address: u64, width: usize, value: u64) {
        let data = &value.to_le_bytes()[..width];
        if self.memory.write_slice(data, GuestAddress(address)).is_ok() {
            return;
        }
        match self.shown_at(address, width) {
            Some((memory, log, at)) => {
                memory.bytes().write_slice(data, at).expect("device memory");
                log.add(at, width);
            }
            None => self.board.buses.mmio_write(address, data),
        }
    }

    /// Device memory at `address`, and where in it that is.
    fn shown_at(&self, address: u64, width: usize) -> Option<(DeviceMemory, Arc<Log>, usize)> {
        let shown = self.wires.shown.lock();
        let (base, memory, log) = shown.iter().find(|(base, memory, _)| {
            address >= *base && address.checked_add(width as u64).is_some_and(|end| end <= *base + memory.len())
        })?;
        Some((memory.clone(), log.clone(), (address - base) as usize))
    }

    /// The other side of the serial port has room for so many bytes more.
    pub fn serial_room(&self, bytes: usize) {
        self.wires.serial_room.fetch_add(bytes, Ordering::SeqCst);
        self.board.serial.lock().output_ready();
    }

    /// Counter 2 makes a square wave from now on, or doesn't.
    pub fn tone(&self, count: Option<u32>) {
        *self.wires.tone.lock() = count;
    }

    /// Stops both machines for good and says whether they are the same.
    pub fn assert_same(&self, other: &Machine) {
        self.assert_same_outside(other);
        self.board.stop();
        other.board.stop();
        let (units, others) = (self.board.save().expect("a state"), other.board.save().expect("a state"));
        for (name, unit) in &units {
            assert!(others[name] == *unit, "{name} went another way: {}", difference(unit, &others[name]));
        }
        for (disk, other) in self.disks.iter().zip(&other.disks) {
            assert!(disk.content() == other.content(), "a disk's content");
        }
        let (parts, others) = (written(&self.memory), written(&other.memory));
        assert_eq!(parts.len(), others.len(), "pages of memory with something in them");
        for ((base, bytes), (other_base, other)) in parts.iter().zip(&others) {
            assert!(base == other_base && bytes == other, "memory around {base:#x}");
        }
    }

    /// What devices make others see at once.
    pub fn assert_same_outside(&self, other: &Machine) {
        assert_eq!(*self.wires.levels.lock(), *other.wires.levels.lock(), "interrupt inputs");
        assert_eq!(*self.wires.messages.lock(), *other.wires.messages.lock(), "messages");
        assert_eq!(*self.wires.sent.lock(), *other.wires.sent.lock(), "serial output");
        assert_eq!(*self.wires.gate.lock(), *other.wires.gate.lock(), "the speaker's gate");
    }
}

/// Where two states of a device begin to differ: names of fields are near.
fn difference(one: &SavedUnit, other: &SavedUnit) -> String {
    let (one, other) = (&one.data.0, &other.data.0);
    let at = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(0);
    let around = |bytes: &[u8]| bytes[at.saturating_sub(60)..bytes.len().min(at + 20)].escape_ascii().to_string();
    format!("at byte {at}\n{}\n{}", around(one), around(other))
}

/// Memory that was touched: addresses and bytes.
fn written(memory: &GuestMemory) -> Vec<(u64, Vec<u8>)> {
    let mut parts = Vec::new();
    for region in memory.iter() {
        let file = region.file_offset().expect("memory in a file").file();
        let mut at = 0;
        loop {
            let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Err(Errno::NXIO) => break,
                start => start.expect("where memory begins"),
            };
            at = rustix::fs::seek(file, SeekFrom::Hole(start)).expect("where memory ends");
            let mut bytes = vec![0; (at - start) as usize];
            file.read_exact_at(&mut bytes, start).expect("memory");
            for (page, bytes) in (start..).step_by(4096).zip(bytes.chunks(4096)) {
                if bytes.iter().any(|&byte| byte != 0) {
                    parts.push((region.start_addr().0 + page, bytes.to_vec()));
                }
            }
        }
    }
    parts
}

fn copy_memory(from: &GuestMemory, to: &GuestMemory) {
    for (address, bytes) in written(from) {
        to.write_slice(&bytes, GuestAddress(address)).expect("the same memory");
    }
}
