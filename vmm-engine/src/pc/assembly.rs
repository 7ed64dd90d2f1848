//! Putting a PC together: a board around a partition.

use std::sync::Arc;

use hypervisor::{
    MapAccess, MapError, Partition, PartitionError, PartitionOptions, PitChannel, StateError, VcpuError,
    loader::KernelError,
    memory::{DeviceMemory, MemoryError},
    vcpu::Vcpus,
};
use machine::{
    driver::GuestEvents,
    rate::RateLimit,
    time::{Clock, TimerQueue},
};
use parking_lot::Mutex;

use super::{
    Boot, DirectKernel, Parts, Pc,
    board::{Board, BoardError, BoardOptions, Sockets},
    exits::Exits,
    memory::{self, FirmwareError, Flash},
};
use crate::{layout, pci::MemoryMapper, speaker::PitChannel2};

/// What a PC is made of.
pub struct Options {
    /// The board with its devices.
    pub board: BoardOptions,
    /// The firmware's image.
    pub firmware: Vec<u8>,
    /// A kernel to start instead of the firmware.
    pub kernel: Option<DirectKernel>,
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
    /// The devices can't be put together.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The machine would have too little memory.
    #[error("{0} bytes of memory are too few for a PC")]
    TooLittleMemory(u64),
    /// The first state can't be set up.
    #[error("the machine can't be brought to its first instruction")]
    Prepare(#[source] machine::engine::EngineError),
    /// The host refuses a thread.
    #[error("the host refuses a thread")]
    Thread(#[source] std::io::Error),
}

impl Pc {
    /// Puts a PC together, paused, in power-on state. What its guest makes happen goes to `events`.
    ///
    /// # Errors
    /// [`AssemblyError`]; nothing is left then.
    pub fn new(options: Options, events: GuestEvents<Pc>) -> Result<Pc, AssemblyError> {
        let Options { board: options, firmware, kernel } = options;
        let (cpus, memory_bytes) = (options.cpus, options.memory_bytes);
        if memory_bytes < memory::MEMORY_MIN {
            return Err(AssemblyError::TooLittleMemory(memory_bytes));
        }
        let partition = Partition::new(&PartitionOptions { cpus, memory: memory::ranges(memory_bytes) })?;
        let guest_memory = partition.memory().clone();
        let flash = Flash::new(firmware)?;
        let flash_mapping = partition.map(flash.base(), flash.memory(), MapAccess::ReadOnly, false)?;

        let clock = Clock::host();
        let timers = TimerQueue::new(clock.clone()).map_err(AssemblyError::Thread)?;
        let sockets = Sockets {
            memory: guest_memory.clone(),
            clock: clock.clone(),
            timers: &|| timers.timer(),
            isa: partition.interrupt_lines(),
            pic: partition.pic_lines(),
            messages: partition.msi(),
            pit: Arc::new(Channel2 { partition: partition.clone(), log: Mutex::new(RateLimit::for_log()) }),
            mapper: Arc::new(Mapper(partition.clone())),
            events: {
                let events = events.clone();
                Arc::new(move |event| events.send(event))
            },
        };
        let board = Board::new(options, sockets)?;

        let vcpus = Arc::new(Vcpus::new(&partition, Arc::new(Exits { buses: board.buses.clone(), events }))?);
        let video_window = partition.coalesce(layout::VIDEO_WINDOW, layout::VIDEO_WINDOW_LEN)?;
        let parts = Parts {
            vga: board.vga.clone(),
            vcpus: Arc::downgrade(&vcpus),
            i8042: board.i8042.clone(),
            serial: board.serial.clone(),
            speaker: board.speaker.clone(),
        };
        let mut pc = Pc {
            running: false,
            vcpus,
            timers,
            clock,
            board,
            parts,
            boot: kernel.map_or(Boot::Firmware(flash), Boot::Kernel),
            memory: guest_memory,
            memory_bytes,
            _video_window: video_window,
            _flash: flash_mapping,
            partition,
        };
        pc.prepare().map_err(AssemblyError::Prepare)?;
        Ok(pc)
    }
}

/// Shows device memory through the partition.
struct Mapper(Partition);

impl MemoryMapper for Mapper {
    fn map(&self, base: u64, memory: &DeviceMemory) -> Result<Box<dyn Send>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Box::new(self.0.map(base, memory, MapAccess::ReadWrite, true)?))
    }
}

/// The timer chip's mode 3.
const SQUARE_WAVE: u8 = 3;

/// Channel 2 of the partition's timer chip, as the speaker sees it.
struct Channel2 {
    partition: Partition,
    log: Mutex<RateLimit>,
}

impl Channel2 {
    fn read(&self) -> Option<PitChannel> {
        self.partition.pit_channel2().inspect_err(|error| self.complain(error)).ok()
    }

    fn complain(&self, error: &StateError) {
        if let Some(held) = self.log.lock().pass() {
            tracing::warn!(%error, held, "the timer chip can't be reached");
        }
    }
}

impl PitChannel2 for Channel2 {
    fn output(&self) -> bool {
        self.read().is_some_and(|channel| channel.output)
    }

    fn set_gate(&self, high: bool) {
        if let Err(error) = self.partition.set_pit_channel2_gate(high) {
            self.complain(&error);
        }
    }

    fn square_wave_count(&self) -> Option<u32> {
        self.read().filter(|channel| channel.mode == Some(SQUARE_WAVE)).map(|channel| channel.reload)
    }
}
