//! The PC's devices on their buses: everything but processors, interrupt chips and firmware.
//!
//! What a board is connected to comes as [`Sockets`]: a partition's parts in a machine, a test's own otherwise.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use hypervisor::memory::{DeviceMemory, GuestMemory, MemoryError};
use machine::{
    device::Device,
    engine::GuestEvent,
    line::{InterruptLine, LineTarget, MsiTarget},
    rate::RateLimit,
    saved::{RestoreError, SaveError, SavedUnit},
    time::{Clock, Timer},
};
use parking_lot::Mutex;
use storage::disk::Disk;
use uuid::Uuid;

use super::{
    AHCI_SLOT, HOST_BRIDGE_SLOT, LPC_SLOT, VGA_SLOT,
    faults::DiskFaults,
    firmware::{self, ConfigurationError, Settings},
    memory,
};
use crate::{
    acpi::{self, Tables, pirq_of},
    ahci::{Ahci, AhciConfig, AhciError, AhciHandle, AhciWiring, Attachment},
    bus::{Buses, SharedDevice, Taken},
    debugcon::{self, DebugConsole},
    fw_cfg::{self, FwCfg},
    i8042::{self, I8042},
    layout,
    lpc::{self, Lpc, PirqRouter, SleepRequest},
    pci::{self, HostBridge, MemoryMapper, PciRoot},
    rtc::{self, CmosConfig, Rtc},
    speaker::{self, PitChannel2, Speaker},
    uart::{self, Uart},
    vga::{self, Vga},
};

/// What a board is made of.
pub struct BoardOptions {
    /// The machine's identity.
    pub uuid: Uuid,
    /// Processors, 1 to 64.
    pub cpus: u32,
    /// Memory, in bytes: whole MiB, at least [`memory::MEMORY_MIN`].
    pub memory_bytes: u64,
    /// The display adapter's option ROM. Without it the firmware has no screen.
    pub video_rom: Option<Vec<u8>>,
    /// What is connected to the AHCI controller, from port 0 on; six at most.
    pub drives: Vec<Drive>,
    /// How many commands of a drive are carried out side by side; [`ahci::DEFAULT_WORKERS`](crate::ahci::DEFAULT_WORKERS).
    pub drive_workers: usize,
    /// Indices into `drives` to boot from, first choice first.
    pub boot_order: Vec<usize>,
    /// Where the first serial port's output goes.
    pub serial: Box<dyn uart::SerialPort>,
    /// Where the speaker's tones go.
    pub tones: speaker::ToneSink,
    /// Where the firmware's debug output goes, a line each.
    pub debug: debugcon::LineSink,
}

/// Something that is connected to the AHCI controller.
pub struct Drive {
    /// Its name among the machine's drives.
    pub id: String,
    /// What it is.
    pub kind: DriveKind,
}

/// What a drive is.
pub enum DriveKind {
    /// A disk, with its serial number.
    Disk(Arc<dyn Disk>, String),
    /// A CD drive, with the disc in it.
    Cd(Option<Arc<dyn Disk>>),
}

/// What a board is connected to.
pub struct Sockets<'a> {
    /// The guest's memory.
    pub memory: GuestMemory,
    /// The machine's time.
    pub clock: Clock,
    /// Gives a timer on that time.
    pub timers: &'a dyn Fn() -> Timer,
    /// Interrupt inputs 0 to 23: ISA interrupts, and the I/O APIC's above them.
    pub isa: Arc<dyn LineTarget>,
    /// The 8259 pair's inputs, for routed PCI interrupts.
    pub pic: Arc<dyn LineTarget>,
    /// Where message-signalled interrupts go.
    pub messages: Arc<dyn MsiTarget>,
    /// Counter 2 of the interval timer.
    pub pit: Arc<dyn PitChannel2>,
    /// Shows device memory to the guest.
    pub mapper: Arc<dyn MemoryMapper>,
    /// Takes what the guest makes happen.
    pub events: Arc<dyn Fn(GuestEvent) + Send + Sync>,
}

/// A board can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The host refuses memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The firmware's configuration can't be made.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Two devices are at one place.
    #[error("two devices are at the same place")]
    Taken(#[from] Taken),
    /// A disk can't be connected.
    #[error(transparent)]
    Ahci(#[from] AhciError),
    /// There are more drives than ports.
    #[error("{count} drives are too many: the controller has {room} ports")]
    Drives {
        /// Drives.
        count: usize,
        /// Ports.
        room: usize,
    },
}

/// The devices, stopped at first. They leave the buses when the board is dropped.
pub struct Board {
    /// Where the processors' accesses go.
    pub buses: Arc<Buses>,
    /// Every device, in the order in which they are started.
    pub devices: Vec<SharedDevice>,
    /// The PCI root.
    pub root: Arc<Mutex<PciRoot>>,
    /// The LPC bridge.
    pub lpc: Arc<Mutex<Lpc>>,
    /// The display adapter.
    pub vga: Arc<Mutex<Vga>>,
    /// Keyboard and mouse.
    pub i8042: Arc<Mutex<I8042>>,
    /// The first serial port.
    pub serial: Arc<Mutex<Uart>>,
    /// The speaker.
    pub speaker: Arc<Mutex<Speaker>>,
    /// The AHCI controller's drives.
    pub drives: AhciHandle,
    /// The AHCI port of each drive, by its id.
    pub drive_ports: BTreeMap<String, u8>,
    /// The ACPI tables.
    pub tables: Tables,
}

fn shared<T>(device: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(device))
}

/// Lets `timer` call `fired` on `device`, for as long as that lives.
fn connect<T: Send + 'static>(timer: &Timer, device: &Arc<Mutex<T>>, fired: impl Fn(&mut T) + Send + Sync + 'static) {
    let device = Arc::downgrade(device);
    timer.connect(move || {
        if let Some(device) = device.upgrade() {
            fired(&mut device.lock());
        }
    });
}

impl Board {
    /// Puts the devices together, in power-on state.
    ///
    /// # Errors
    /// [`BoardError`]; nothing is left then.
    pub fn new(options: BoardOptions, sockets: Sockets<'_>) -> Result<Board, BoardError> {
        let BoardOptions { uuid, cpus, memory_bytes, video_rom, drives, drive_workers, boot_order, .. } = options;
        let Sockets { memory: guest_memory, clock, timers, isa, pic, messages, pit, mapper, events } = sockets;
        let buses = Arc::new(Buses::default());
        let isa_line = |irq: u32| InterruptLine::new(isa.clone(), irq);
        let reset: Arc<dyn Fn() + Send + Sync> = {
            let events = events.clone();
            Arc::new(move || events(GuestEvent::Reset))
        };

        let com1 = &uart::COM[0];
        let tables = Tables::new(&acpi::Config { cpus, serial_ports: vec![(com1.port, com1.irq as u8)] });
        let boot_ports: Vec<u8> = boot_order.iter().map(|&index| index as u8).collect();
        let contents =
            firmware::contents(&Settings { cpus, memory_bytes, uuid, boot_ports: &boot_ports, tables: &tables })?;

        let io_apic: Arc<dyn LineTarget> = Arc::new(IoApicPirqs(isa.clone()));
        let pirq = PirqRouter::new(pic, io_apic);
        let rtc_timer = timers();
        let rtc = shared(Rtc::new(
            &CmosConfig {
                memory_below_4g: memory::below_4g(memory_bytes),
                memory_above_4g: memory::above_4g(memory_bytes),
                cpus: cpus as u16,
                boot_order: vec![rtc::BootDevice::HardDisk, rtc::BootDevice::Cd],
                offset_seconds: 0,
            },
            clock.clone(),
            rtc_timer.clone(),
            isa_line(rtc::IRQ),
        ));
        connect(&rtc_timer, &rtc, Rtc::timer_fired);
        let i8042 = shared(I8042::new(isa_line(i8042::KEYBOARD_IRQ), isa_line(i8042::MOUSE_IRQ), reset.clone()));
        let serial_timer = timers();
        let serial = Uart::new(com1.name, options.serial, clock.clone(), serial_timer.clone(), isa_line(com1.irq));
        let serial = shared(serial);
        connect(&serial_timer, &serial, Uart::timer_fired);
        serial.lock().set_connected(true);
        let speaker = shared(Speaker::new(clock.clone(), pit, options.tones));
        let fw_cfg = shared(FwCfg::new(contents, guest_memory.clone()));
        let debugcon = shared(DebugConsole::new(options.debug));

        let config = vga::Config { rom: video_rom.unwrap_or_default(), ..vga::Config::default() };
        let vga = Vga::new(config, clock.clone())?;
        let video_memory = vga.memory();
        let vga = shared(vga);
        let pm_timer = timers();
        let lpc = shared(Lpc::new(lpc::Dependencies {
            pirq: pirq.clone(),
            sci: isa_line(layout::SCI_IRQ.into()),
            clock,
            timer: pm_timer.clone(),
            sleep: answer_to_sleep(events.clone()),
        }));
        connect(&pm_timer, &lpc, Lpc::timer_fired);
        let line = InterruptLine::new(pirq, pirq_of(AHCI_SLOT, 0).into());
        let (config, drive_ports) = ahci_config(drives, drive_workers)?;
        let faults = Arc::new(DiskFaults::new(&drive_ports, events));
        let ahci = Ahci::new(config, AhciWiring { memory: guest_memory, line, messages, events: faults })?;
        let drives = ahci.handle();
        let ahci = shared(ahci);
        let host_bridge = shared(HostBridge::new());
        let root = PciRoot::new(buses.clone(), mapper, reset);

        let devices: Vec<SharedDevice> = vec![
            root.clone(),
            host_bridge.clone(),
            lpc.clone(),
            rtc.clone(),
            i8042.clone(),
            serial.clone(),
            speaker.clone(),
            fw_cfg.clone(),
            debugcon.clone(),
            vga.clone(),
            ahci.clone(),
        ];
        let board = Board { buses, devices, root, lpc, vga, i8042, serial, speaker, drives, drive_ports, tables };
        board.plug_in(host_bridge, vec![(vga::BAR_MEMORY, video_memory)], ahci);
        board.claim(&rtc, &[rtc::PORTS])?;
        board.claim(&board.i8042, &i8042::PORTS)?;
        board.claim(&board.serial, &[(uart::PORTS.0, com1.port, uart::PORTS.1)])?;
        board.claim(&board.speaker, &[speaker::PORTS])?;
        board.claim(&fw_cfg, &[fw_cfg::PORTS])?;
        board.claim(&debugcon, &debugcon::PORTS)?;
        let (vga_ports, dispi_ports) = (vga::VGA_PORTS, vga::DISPI_PORTS);
        board.claim(&board.vga, &[(vga::REGION_VGA_PORTS, vga_ports.0, vga_ports.1)])?;
        board.claim(&board.vga, &[(vga::REGION_DISPI_PORTS, dispi_ports.0, dispi_ports.1)])?;
        board.claim(&board.lpc, &[(lpc::REGION_APM, 0xb2, 2)])?;
        board.claim(&board.root, &[(pci::REGION_PORTS, 0xcf8, 8)])?;
        let window = (layout::VIDEO_WINDOW, layout::VIDEO_WINDOW_LEN);
        board.buses.claim_memory(window.0, window.1, vga::REGION_LEGACY_MEMORY, board.vga.clone())?;
        Ok(board)
    }

    fn plug_in(&self, host_bridge: SharedDevice, video_memory: Vec<(u8, DeviceMemory)>, ahci: SharedDevice) {
        let mut root = self.root.lock();
        root.insert(HOST_BRIDGE_SLOT, host_bridge, Vec::new());
        root.insert(VGA_SLOT, self.vga.clone(), video_memory);
        root.insert(LPC_SLOT, self.lpc.clone(), Vec::new());
        root.insert(AHCI_SLOT, ahci, Vec::new());
    }

    /// Claims fixed port ranges (region, first port, length) for a device.
    fn claim<T: Device + 'static>(&self, device: &Arc<Mutex<T>>, ranges: &[(u8, u16, u16)]) -> Result<(), Taken> {
        let claim = |&(region, base, len)| self.buses.claim_ports(base, len, region, device.clone());
        ranges.iter().try_for_each(claim)
    }

    /// The machine runs from now on.
    pub fn start(&self) {
        self.devices.iter().for_each(|device| device.lock().start());
    }

    /// The machine stands still: when this returns, no device touches memory or raises an interrupt.
    pub fn stop(&self) {
        self.devices.iter().rev().for_each(|device| device.lock().stop());
    }

    /// Back to power-on state.
    pub fn reset(&self) {
        self.devices.iter().for_each(|device| device.lock().reset());
        self.root.lock().update();
    }

    /// Every device's state, by its name. The board stands still.
    ///
    /// # Errors
    /// [`SaveError`] of the first device that can't be saved.
    pub fn save(&self) -> Result<BTreeMap<String, SavedUnit>, SaveError> {
        let save = |device: &SharedDevice| {
            let mut device = device.lock();
            Ok((device.name().to_owned(), device.save()?))
        };
        self.devices.iter().map(save).collect()
    }

    /// Takes over the state of a board of the same kind. This one stands still.
    ///
    /// # Errors
    /// [`BoardRestoreError`]; some devices have the saved state then, and others don't.
    pub fn restore(&self, units: &BTreeMap<String, SavedUnit>) -> Result<(), BoardRestoreError> {
        let names: Vec<String> = self.devices.iter().map(|device| device.lock().name().to_owned()).collect();
        if let Some(name) = units.keys().find(|name| !names.contains(name)) {
            return Err(BoardRestoreError::Unknown(name.clone()));
        }
        for (device, name) in self.devices.iter().zip(names) {
            let unit = units.get(&name).ok_or_else(|| BoardRestoreError::Missing(name.clone()))?;
            device.lock().restore(unit).map_err(|source| BoardRestoreError::Device { name, source })?;
        }
        self.root.lock().update();
        Ok(())
    }
}

/// A board can't take over a saved state.
#[derive(Debug, thiserror::Error)]
pub enum BoardRestoreError {
    /// A device refuses its state.
    #[error("the saved state of '{name}' can't be used")]
    Device {
        /// The device.
        name: String,
        /// Why.
        #[source]
        source: RestoreError,
    },
    /// A device has no state.
    #[error("there is no saved state of '{0}'")]
    Missing(String),
    /// There is no device for a state.
    #[error("there is a saved state of '{0}', which this machine doesn't have")]
    Unknown(String),
}

impl Drop for Board {
    fn drop(&mut self) {
        self.root.lock().clear();
        self.buses.clear();
    }
}

/// What the guest's request to sleep leads to.
fn answer_to_sleep(events: Arc<dyn Fn(GuestEvent) + Send + Sync>) -> Arc<dyn Fn(SleepRequest) + Send + Sync> {
    let log = Mutex::new(RateLimit::for_log());
    Arc::new(move |request| match request {
        SleepRequest::Off => events(GuestEvent::PowerOff),
        SleepRequest::Unknown(kind) => {
            if let Some(held) = log.lock().pass() {
                tracing::warn!(kind, held, "the guest asks for a sleep state that isn't offered");
            }
        }
    })
}

/// The controller's ports, in the order of the drives, and the port of each drive by its id.
fn ahci_config(drives: Vec<Drive>, workers: usize) -> Result<(AhciConfig, BTreeMap<String, u8>), BoardError> {
    let mut config = AhciConfig { workers, ..AhciConfig::new("ahci") };
    let (count, room) = (drives.len(), config.ports.len());
    if count > room {
        return Err(BoardError::Drives { count, room });
    }
    let mut ports = BTreeMap::new();
    for (index, drive) in drives.into_iter().enumerate() {
        ports.insert(drive.id, index as u8);
        config.ports[index] = Some(match drive.kind {
            DriveKind::Disk(disk, serial) => Attachment::Disk { disk, serial },
            DriveKind::Cd(disc) => Attachment::Optical { disc, serial: format!("TDCD{index}") },
        });
    }
    Ok((config, ports))
}

/// PIRQ lines at the I/O APIC: its inputs from 16 on.
struct IoApicPirqs(Arc<dyn LineTarget>);

impl LineTarget for IoApicPirqs {
    fn set_level(&self, input: u32, high: bool) {
        self.0.set_level(16 + input, high);
    }

    fn restore_level(&self, input: u32, high: bool) {
        self.0.restore_level(16 + input, high);
    }
}
