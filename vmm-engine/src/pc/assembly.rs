//! Putting a PC together.

use std::{collections::BTreeMap, sync::Arc};

use hypervisor::{
    MapAccess, MapError, Partition, PartitionError, PartitionOptions, PitChannel, StateError, VcpuError,
    loader::KernelError,
    memory::{DeviceMemory, MemoryError},
    vcpu::Vcpus,
};
use machine::{
    device::Device,
    driver::GuestEvents,
    engine::GuestEvent,
    line::{InterruptLine, LineTarget},
    time::{Clock, Timer, TimerQueue},
};
use parking_lot::Mutex;
use storage::disk::Disk;
use uuid::Uuid;

use super::{
    AHCI_SLOT, Boot, DirectKernel, HOST_BRIDGE_SLOT, LPC_SLOT, Parts, Pc, VGA_SLOT,
    exits::Exits,
    firmware::{self, ConfigurationError, Settings},
    memory::{self, FirmwareError, Flash},
};
use crate::{
    acpi::{self, Tables, pirq_of},
    ahci::{Ahci, AhciConfig, AhciError, AhciWiring, Attachment, NoDiskEvents},
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

/// What a PC is made of.
pub struct Options {
    /// The machine's identity.
    pub uuid: Uuid,
    /// Processors, 1 to 64.
    pub cpus: u32,
    /// Memory, in bytes: whole MiB, at least [`memory::MEMORY_MIN`].
    pub memory_bytes: u64,
    /// The firmware's image.
    pub firmware: Vec<u8>,
    /// The display adapter's option ROM. Without it the firmware has no screen.
    pub video_rom: Option<Vec<u8>>,
    /// A kernel to start instead of the firmware.
    pub kernel: Option<DirectKernel>,
    /// What is connected to the AHCI controller, from port 0 on; six at most.
    pub drives: Vec<Drive>,
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

/// A PC can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The host refuses a partition.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The host refuses processors.
    #[error(transparent)]
    Vcpus(#[from] VcpuError),
    /// The host refuses the processors' state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The host refuses memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The host refuses to show memory to the guest.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The firmware can't be used.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The kernel can't be used.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The firmware's configuration can't be made.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Two devices are at one place.
    #[error("two devices are at the same place")]
    Taken(#[from] Taken),
    /// A disk can't be connected.
    #[error(transparent)]
    Ahci(#[from] AhciError),
    /// The option ROM or a drive can't be.
    #[error("{0}")]
    Option(String),
    /// The first state can't be set up.
    #[error("the machine can't be brought to its first instruction")]
    Prepare(#[source] machine::engine::EngineError),
    /// The host refuses a thread.
    #[error("the host refuses a thread")]
    Thread(#[source] std::io::Error),
}

/// Shows device memory through the partition.
struct Mapper(Partition);

impl MemoryMapper for Mapper {
    fn map(&self, base: u64, memory: &DeviceMemory) -> Result<Box<dyn Send>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Box::new(self.0.map(base, memory, MapAccess::ReadWrite, true)?))
    }
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

impl Pc {
    /// Puts a PC together, paused, in power-on state. What its guest makes happen goes to `events`.
    ///
    /// # Errors
    /// [`AssemblyError`]; nothing is left then.
    pub fn new(options: Options, events: GuestEvents<Pc>) -> Result<Pc, AssemblyError> {
        let Options { uuid, cpus, memory_bytes, firmware, video_rom, kernel, drives, boot_order, serial, tones, debug } =
            options;
        if memory_bytes < memory::MEMORY_MIN {
            return Err(AssemblyError::Option(format!("{memory_bytes} bytes of memory are too few for a PC")));
        }
        let partition = Partition::new(&PartitionOptions { cpus, memory: memory::ranges(memory_bytes) })?;
        let guest_memory = partition.memory().clone();
        let flash = Flash::new(firmware)?;
        let flash_mapping = partition.map(flash.base(), flash.memory(), MapAccess::ReadOnly, false)?;

        let clock = Clock::host();
        let timers = TimerQueue::new(clock.clone()).map_err(AssemblyError::Thread)?;
        let buses = Arc::new(Buses::default());
        let isa = partition.interrupt_lines();
        let isa_line = |irq: u32| InterruptLine::new(isa.clone(), irq);
        let reset: Arc<dyn Fn() + Send + Sync> = {
            let events = events.clone();
            Arc::new(move || events.send(GuestEvent::Reset))
        };

        let com1 = &uart::COM[0];
        let tables = Tables::new(&acpi::Config { cpus, serial_ports: vec![(com1.port, com1.irq as u8)] });
        let boot_ports: Vec<u8> = boot_order.iter().map(|&index| index as u8).collect();
        let contents =
            firmware::contents(&Settings { cpus, memory_bytes, uuid, boot_ports: &boot_ports, tables: &tables })?;

        let io_apic: Arc<dyn LineTarget> = Arc::new(IoApicPirqs(isa.clone()));
        let pirq = PirqRouter::new(partition.pic_lines(), io_apic);
        let rtc_timer = timers.timer();
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
        let serial_timer = timers.timer();
        let serial = shared(Uart::new(com1.name, serial, clock.clone(), serial_timer.clone(), isa_line(com1.irq)));
        connect(&serial_timer, &serial, Uart::timer_fired);
        serial.lock().set_connected(true);
        let speaker = shared(Speaker::new(clock.clone(), Arc::new(Channel2(partition.clone())), tones));
        let fw_cfg = shared(FwCfg::new(contents, guest_memory.clone()));
        let debugcon = shared(DebugConsole::new(debug));

        let config = vga::Config { rom: video_rom.unwrap_or_default(), ..vga::Config::default() };
        let vga = Vga::new(config, clock.clone())?;
        let video_memory = vga.memory();
        let vga = shared(vga);
        let pm_timer = timers.timer();
        let sleep = {
            let events = events.clone();
            Arc::new(move |request| match request {
                SleepRequest::Off => events.send(GuestEvent::PowerOff),
                SleepRequest::Unknown(kind) => {
                    tracing::warn!(kind, "the guest asks for a sleep state that isn't offered");
                }
            })
        };
        let lpc = shared(Lpc::new(lpc::Dependencies {
            pirq: pirq.clone(),
            sci: isa_line(layout::SCI_IRQ.into()),
            clock: clock.clone(),
            timer: pm_timer.clone(),
            sleep,
        }));
        connect(&pm_timer, &lpc, Lpc::timer_fired);
        let ahci_line = InterruptLine::new(pirq, pirq_of(AHCI_SLOT, 0).into());
        let (config, drive_ports) = ahci_config(drives)?;
        let wiring = AhciWiring {
            memory: guest_memory.clone(),
            line: ahci_line,
            messages: partition.msi(),
            events: Arc::new(NoDiskEvents),
        };
        let ahci = Ahci::new(config, wiring)?;
        let drives = ahci.handle();
        let ahci = shared(ahci);
        let root = PciRoot::new(buses.clone(), Arc::new(Mapper(partition.clone())), reset);

        let host_bridge = shared(HostBridge::new());
        root.lock().insert(HOST_BRIDGE_SLOT, host_bridge.clone(), Vec::new());
        root.lock().insert(VGA_SLOT, vga.clone(), vec![(vga::BAR_MEMORY, video_memory)]);
        root.lock().insert(LPC_SLOT, lpc.clone(), Vec::new());
        root.lock().insert(AHCI_SLOT, ahci.clone(), Vec::new());

        claim(&buses, &rtc, &[rtc::PORTS])?;
        claim(&buses, &i8042, &i8042::PORTS)?;
        claim(&buses, &serial, &[(uart::PORTS.0, com1.port, uart::PORTS.1)])?;
        claim(&buses, &speaker, &[speaker::PORTS])?;
        claim(&buses, &fw_cfg, &[fw_cfg::PORTS])?;
        claim(&buses, &debugcon, &debugcon::PORTS)?;
        claim(
            &buses,
            &vga,
            &[
                (vga::REGION_VGA_PORTS, vga::VGA_PORTS.0, vga::VGA_PORTS.1),
                (vga::REGION_DISPI_PORTS, vga::DISPI_PORTS.0, vga::DISPI_PORTS.1),
            ],
        )?;
        claim(&buses, &lpc, &[(lpc::REGION_APM, 0xb2, 2)])?;
        claim(&buses, &root, &[(pci::REGION_PORTS, 0xcf8, 8)])?;
        buses.claim_memory(layout::VIDEO_WINDOW, layout::VIDEO_WINDOW_LEN, vga::REGION_LEGACY_MEMORY, vga.clone())?;

        let vcpus = Arc::new(Vcpus::new(&partition, Arc::new(Exits { buses: buses.clone(), events }))?);
        let video_window = partition.coalesce(layout::VIDEO_WINDOW, layout::VIDEO_WINDOW_LEN)?;
        let parts =
            Parts { vga: vga.clone(), vcpus: Arc::downgrade(&vcpus), i8042: i8042.clone(), serial: serial.clone() };
        let devices: Vec<SharedDevice> = vec![
            root.clone(),
            host_bridge,
            lpc.clone(),
            rtc,
            i8042,
            serial,
            speaker.clone(),
            fw_cfg,
            debugcon,
            vga,
            ahci,
        ];
        let mut pc = Pc {
            running: false,
            vcpus,
            timers,
            clock,
            devices,
            lpc,
            speaker,
            root,
            drives,
            drive_ports,
            parts,
            boot: kernel.map_or(Boot::Firmware(flash), Boot::Kernel),
            buses,
            memory: guest_memory,
            memory_bytes,
            tables,
            _video_window: video_window,
            _flash: flash_mapping,
            partition,
        };
        pc.prepare().map_err(AssemblyError::Prepare)?;
        Ok(pc)
    }
}

/// The controller's ports, in the order of the drives, and the port of each drive by its id.
fn ahci_config(drives: Vec<Drive>) -> Result<(AhciConfig, BTreeMap<String, u8>), AssemblyError> {
    let mut config = AhciConfig::new("ahci");
    let (count, room) = (drives.len(), config.ports.len());
    if count > room {
        return Err(AssemblyError::Option(format!("{count} drives are too many: the controller has {room} ports")));
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

/// Claims fixed port ranges (region, first port, length) for a device.
fn claim<T: Device + 'static>(buses: &Buses, device: &Arc<Mutex<T>>, ranges: &[(u8, u16, u16)]) -> Result<(), Taken> {
    ranges.iter().try_for_each(|&(region, base, len)| buses.claim_ports(base, len, region, device.clone()))
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

/// The timer chip's mode 3.
const SQUARE_WAVE: u8 = 3;

/// Channel 2 of the partition's timer chip, as the speaker sees it.
struct Channel2(Partition);

impl Channel2 {
    fn read(&self) -> Option<PitChannel> {
        self.0.pit_channel2().inspect_err(|error| tracing::warn!(%error, "the timer chip can't be read")).ok()
    }
}

impl PitChannel2 for Channel2 {
    fn output(&self) -> bool {
        self.read().is_some_and(|channel| channel.output)
    }

    fn set_gate(&self, high: bool) {
        if let Err(error) = self.0.set_pit_channel2_gate(high) {
            tracing::warn!(%error, "the timer chip's gate can't be set");
        }
    }

    fn square_wave_count(&self) -> Option<u32> {
        self.read().filter(|channel| channel.mode == Some(SQUARE_WAVE)).map(|channel| channel.reload)
    }
}
