//! A driver in Rust: it programs the controller through its registers as the drivers of operating systems do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hypervisor::memory::{GuestMemory, guest_memory};
use machine::{
    component::Component,
    device::{Device, Mmio, PciConfig},
    line::{InterruptLine, LineTarget, MsiTarget},
};
use parking_lot::{Condvar, Mutex};
use vm_memory::{Bytes, GuestAddress};

use crate::ahci::{
    Ahci, AhciConfig, AhciHandle, AhciWiring, Attachment, BAR_REGISTERS, DiskEvents, DiskFault, FaultAnswer,
    registers::{cmd, px},
};

const LIMIT: Duration = Duration::from_secs(30);
pub(super) const MEMORY: u64 = 4 << 20;
/// Data of commands goes here and above.
pub(super) const DATA: u64 = 2 << 20;

/// Counts interrupts, and wakes who waits for one.
#[derive(Default)]
pub(super) struct Interrupts {
    line: Mutex<bool>,
    changed: Condvar,
    rises: AtomicUsize,
    messages: Mutex<Vec<(u64, u32)>>,
}

impl Interrupts {
    pub(super) fn level(&self) -> bool {
        *self.line.lock()
    }
    pub(super) fn rises(&self) -> usize {
        self.rises.load(Ordering::SeqCst)
    }
    pub(super) fn messages(&self) -> usize {
        self.messages.lock().len()
    }
}

impl LineTarget for Interrupts {
    fn set_level(&self, _input: u32, high: bool) {
        *self.line.lock() = high;
        self.rises.fetch_add(usize::from(high), Ordering::SeqCst);
        self.changed.notify_all();
    }
    fn restore_level(&self, _input: u32, high: bool) {
        *self.line.lock() = high;
    }
}

impl MsiTarget for Interrupts {
    fn signal(&self, address: u64, data: u32) {
        self.messages.lock().push((address, data));
        let _line = self.line.lock();
        self.changed.notify_all();
    }
}

/// Takes the controller's events; holds faults when told so.
#[derive(Default)]
pub(super) struct Events {
    pub(super) hold: Mutex<bool>,
    pub(super) faults: Mutex<Vec<(u8, bool)>>,
    pub(super) trays: Mutex<Vec<(u8, bool)>>,
    /// Is called at each fault.
    pub(super) at_fault: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl DiskEvents for Events {
    fn disk_fault(&self, fault: &DiskFault<'_>) -> FaultAnswer {
        self.faults.lock().push((fault.port, fault.is_out_of_space()));
        if let Some(at_fault) = &*self.at_fault.lock() {
            at_fault();
        }
        if *self.hold.lock() { FaultAnswer::Hold } else { FaultAnswer::Report }
    }
    fn tray_moved(&self, port: u8, open: bool) {
        self.trays.lock().push((port, open));
    }
}

/// A command FIS in the making.
#[derive(Clone, Copy)]
pub(super) struct Command {
    bytes: [u8; 20],
    pub(super) packet: Option<[u8; 16]>,
    flags: u16,
}

impl Command {
    pub(super) fn new(command: u8) -> Self {
        let mut bytes = [0; 20];
        bytes[..3].copy_from_slice(&[0x27, 0x80, command]);
        bytes[7] = 0x40;
        Command { bytes, packet: None, flags: 5 }
    }
    pub(super) fn lba(mut self, lba: u64) -> Self {
        let lba = lba.to_le_bytes();
        self.bytes[4..7].copy_from_slice(&lba[..3]);
        self.bytes[8..11].copy_from_slice(&lba[3..6]);
        self
    }
    pub(super) fn count(mut self, count: u16) -> Self {
        self.bytes[12..14].copy_from_slice(&count.to_le_bytes());
        self
    }
    pub(super) fn features(mut self, features: u16) -> Self {
        [self.bytes[3], self.bytes[11]] = features.to_le_bytes();
        self
    }
    pub(super) fn device(mut self, device: u8) -> Self {
        self.bytes[7] = device;
        self
    }
    /// READ or WRITE FPDMA QUEUED.
    pub(super) fn queued(write: bool, tag: u8, lba: u64, sectors: u16) -> Self {
        Command::new(if write { 0x61 } else { 0x60 }).lba(lba).features(sectors).count(u16::from(tag) << 3)
    }
    /// PACKET by DMA.
    pub(super) fn packet(packet: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..packet.len()].copy_from_slice(packet);
        let mut command = Command::new(0xa0).features(1).device(0);
        command.packet = Some(bytes);
        command.flags |= 1 << 5;
        command
    }
    /// A device control FIS, with CLEAR BUSY UPON R_OK or without.
    pub(super) fn control(control: u8, clear_busy: bool) -> Self {
        let mut command = Command::new(0);
        command.bytes[1] = 0;
        command.bytes[15] = control;
        command.flags |= if clear_busy { 1 << 10 } else { 0 };
        command
    }
    /// Another FIS type, or length in dwords.
    pub(super) fn malformed(mut self, kind: u8, dwords: u16) -> Self {
        self.bytes[0] = kind;
        self.flags = dwords;
        self
    }
    /// Every byte of the FIS behind its type, for nonsense.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[2..]
    }
}

/// The controller with its driver.
pub(super) struct Driver {
    pub(super) device: Mutex<Ahci>,
    pub(super) handle: AhciHandle,
    pub(super) memory: GuestMemory,
    pub(super) interrupts: Arc<Interrupts>,
    pub(super) events: Arc<Events>,
}

pub(super) fn config(attachments: Vec<Attachment>) -> AhciConfig {
    let mut config = AhciConfig::new("ahci0");
    for (port, attachment) in config.ports.iter_mut().zip(attachments) {
        *port = Some(attachment);
    }
    config
}

pub(super) fn disk(disk: &Arc<super::disk::TestDisk>) -> Attachment {
    Attachment::Disk { disk: disk.clone(), serial: "TD0001".into() }
}

pub(super) fn optical(disc: Option<&Arc<super::disk::TestDisk>>) -> Attachment {
    let disc = disc.map(|disc| disc.clone() as Arc<dyn storage::disk::Disk>);
    Attachment::Optical { disc, serial: "TC0001".into() }
}

impl Driver {
    /// A running controller, with its ports brought up.
    pub(super) fn new(attachments: Vec<Attachment>) -> Self {
        let driver = Driver::cold(attachments);
        driver.device.lock().start();
        driver.enable();
        for port in 0..6 {
            driver.bring_up(port);
        }
        driver
    }

    /// A controller as it is made.
    pub(super) fn cold(attachments: Vec<Attachment>) -> Self {
        Driver::with_memory(attachments, guest_memory(&[(0, MEMORY)]).unwrap())
    }

    pub(super) fn with_memory(attachments: Vec<Attachment>, memory: GuestMemory) -> Self {
        let (interrupts, events) = (Arc::<Interrupts>::default(), Arc::<Events>::default());
        let wiring = AhciWiring {
            memory: memory.clone(),
            line: InterruptLine::new(interrupts.clone(), 0),
            messages: interrupts.clone(),
            events: events.clone(),
        };
        let device = Ahci::new(config(attachments), wiring).unwrap();
        Driver { handle: device.handle(), device: Mutex::new(device), memory, interrupts, events }
    }

    /// Bus master, memory, and the controller's interrupt.
    pub(super) fn enable(&self) {
        self.device.lock().config_write(4, &[7, 0]);
        self.write(0x04, 0x8000_0002);
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.device.lock().mmio().unwrap().mmio_read(BAR_REGISTERS, offset, &mut data);
        u32::from_le_bytes(data)
    }

    pub(super) fn write(&self, offset: u64, value: u32) {
        self.device.lock().mmio_write(BAR_REGISTERS, offset, &value.to_le_bytes());
    }

    pub(super) fn get(&self, port: u8, register: u8) -> u32 {
        self.read(0x100 + 0x80 * u64::from(port) + u64::from(register))
    }

    pub(super) fn put(&self, port: u8, register: u8, value: u32) {
        self.write(0x100 + 0x80 * u64::from(port) + u64::from(register), value);
    }

    /// Returns when `condition` holds.
    pub(super) fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < LIMIT, "waited too long: {what}");
            let mut line = self.interrupts.line.lock();
            self.interrupts.changed.wait_for(&mut line, Duration::from_millis(1));
        }
    }

    fn list(port: u8) -> u64 {
        0x1_0000 * (u64::from(port) + 1)
    }
    fn table(port: u8, slot: u8) -> u64 {
        Self::list(port) + 0x1000 + 0x400 * u64::from(slot)
    }
    /// The received FIS area.
    pub(super) fn received(port: u8) -> u64 {
        Self::list(port) + 0x400
    }

    /// Brings a port up as after a crash of its last user: stop, COMRESET, start.
    pub(super) fn bring_up(&self, port: u8) {
        self.stop(port);
        self.put(port, px::CLB, Self::list(port) as u32);
        self.put(port, px::FB, Self::received(port) as u32);
        self.put(port, px::CMD, cmd::FRE | cmd::SUD | cmd::POD);
        self.comreset(port);
        if self.get(port, px::SSTS) & 0xf == 3 {
            self.wait("the drive is ready", || self.get(port, px::TFD) & 0x88 == 0);
        }
        self.start(port);
    }

    pub(super) fn comreset(&self, port: u8) {
        self.put(port, px::SCTL, 0x301);
        self.put(port, px::SCTL, 0x300);
        self.put(port, px::SERR, !0);
        self.put(port, px::IS, !0);
    }

    pub(super) fn start(&self, port: u8) {
        self.put(port, px::IE, 0x7dc0_007f);
        self.put(port, px::CMD, cmd::FRE | cmd::SUD | cmd::POD | cmd::ST);
    }

    pub(super) fn stop(&self, port: u8) {
        self.put(port, px::CMD, cmd::FRE | cmd::SUD | cmd::POD);
        self.wait("the command list stops", || self.get(port, px::CMD) & cmd::CR == 0);
    }

    /// After an error: stops, clears and starts the command list.
    pub(super) fn recover(&self, port: u8) {
        self.stop(port);
        self.put(port, px::SERR, !0);
        self.put(port, px::IS, !0);
        self.start(port);
    }

    /// Writes command header and table of a slot.
    pub(super) fn prepare(&self, port: u8, slot: u8, command: &Command, data: &[(u64, u32)]) {
        let table = Self::table(port, slot);
        let flags = u32::from(command.flags) | (data.len() as u32) << 16;
        let header: Vec<u8> =
            [flags, 0, table as u32, 0, 0, 0, 0, 0].iter().flat_map(|dword| dword.to_le_bytes()).collect();
        self.memory.write_slice(&header, GuestAddress(Self::list(port) + 32 * u64::from(slot))).unwrap();
        self.memory.write_slice(&command.bytes, GuestAddress(table)).unwrap();
        self.memory.write_slice(&command.packet.unwrap_or([0; 16]), GuestAddress(table + 0x40)).unwrap();
        for (index, &(address, len)) in data.iter().enumerate() {
            let entry: Vec<u8> = [address as u32, (address >> 32) as u32, 0, len.wrapping_sub(1)]
                .iter()
                .flat_map(|dword| dword.to_le_bytes())
                .collect();
            self.memory.write_slice(&entry, GuestAddress(table + 0x80 + 16 * index as u64)).unwrap();
        }
    }

    /// Prepares a command and gives it to the controller.
    pub(super) fn issue(&self, port: u8, slot: u8, command: &Command, data: &[(u64, u32)]) {
        self.prepare(port, slot, command, data);
        if matches!(command.bytes[2], 0x60 | 0x61) {
            self.put(port, px::SACT, 1 << slot);
        }
        self.put(port, px::CI, 1 << slot);
    }

    /// Whether nothing of `slots` is under way.
    pub(super) fn is_done(&self, port: u8, slots: u32) -> bool {
        (self.get(port, px::CI) | self.get(port, px::SACT)) & slots == 0
    }

    pub(super) fn wait_done(&self, port: u8, slots: u32) {
        self.wait("commands are done", || self.is_done(port, slots) || self.has_failed(port));
        assert!(!self.has_failed(port), "TFD {:#x}, IS {:#x}", self.get(port, px::TFD), self.get(port, px::IS));
    }

    pub(super) fn has_failed(&self, port: u8) -> bool {
        self.get(port, px::IS) & 0x7900_0000 != 0
    }

    /// Runs a command in slot 0 to its good end.
    pub(super) fn run(&self, port: u8, command: Command, data: &[(u64, u32)]) {
        self.issue(port, 0, &command, data);
        self.wait_done(port, 1);
        self.put(port, px::IS, !0);
        self.write(0x08, !0);
    }

    /// Runs a command in slot 0 that fails, and gives PxTFD and PxIS; the port is recovered.
    pub(super) fn fail(&self, port: u8, command: Command, data: &[(u64, u32)]) -> (u32, u32) {
        self.issue(port, 0, &command, data);
        self.wait("the command fails", || self.has_failed(port));
        let answer = (self.get(port, px::TFD), self.get(port, px::IS));
        self.recover(port);
        answer
    }

    /// Runs a command that gives `len` bytes.
    pub(super) fn fetch(&self, port: u8, command: Command, len: u32) -> Vec<u8> {
        self.run(port, command, &[(DATA, len)]);
        self.bytes(DATA, len as usize)
    }

    pub(super) fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.memory.read_slice(&mut data, GuestAddress(at)).unwrap();
        data
    }

    pub(super) fn fill(&self, at: u64, data: &[u8]) {
        self.memory.write_slice(data, GuestAddress(at)).unwrap();
    }

    /// The register FIS that came last.
    pub(super) fn register_fis(&self, port: u8) -> Vec<u8> {
        self.bytes(Self::received(port) + 0x40, 20)
    }

    /// Bytes moved for a slot, as the controller says.
    pub(super) fn byte_count(&self, port: u8, slot: u8) -> u32 {
        self.memory.read_obj(GuestAddress(Self::list(port) + 32 * u64::from(slot) + 4)).unwrap()
    }
}
