//! A machine for test guests: a megabyte of memory, a reset vector that jumps to 0:1000, and a recorder of all that the
//! guest does outside.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use vm_memory::{Bytes, GuestAddress};

use crate::{
    Mapping, Partition, PartitionError, PartitionOptions,
    memory::DeviceMemory,
    slots::MapAccess,
    vcpu::{ExitHandler, StartState, VcpuEvent, Vcpus},
};

/// How long anything may take, on the slowest host.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Where a test guest starts.
pub(crate) const ENTRY: u64 = 0x1000;

/// A test guest's code, as bytes of the program. `$lines` are Intel syntax, 16 bits, and run at 0:1000.
macro_rules! guest {
    ($name:ident, $($lines:literal),+ $(,)?) => {
        #[allow(unsafe_code)]
        mod $name {
            core::arch::global_asm!(
                ".pushsection .rodata",
                ".code16",
                concat!(".global guest_", stringify!($name)),
                concat!("guest_", stringify!($name), ":"),
                $($lines,)+
                concat!(".global guest_end_", stringify!($name)),
                concat!("guest_end_", stringify!($name), ":"),
                ".code64",
                ".popsection",
            );
            unsafe extern "C" {
                #[link_name = concat!("guest_", stringify!($name))]
                static START: u8;
                #[link_name = concat!("guest_end_", stringify!($name))]
                static END: u8;
            }
            pub(super) fn code() -> &'static [u8] {
                let (start, end) = (&raw const START, &raw const END);
                // SAFETY: the two symbols stand around the bytes that the assembler put between them.
                unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
            }
        }
    };
}
pub(crate) use guest;

/// What a guest did, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    In(u16, usize),
    Out(u16, usize, u64),
    Read(u64, usize),
    Write(u64, usize, u64),
    Event(u32, bool),
}

type Answer = Box<dyn Fn(u64) -> u64 + Send + Sync>;

/// Remembers what the guest did. Reads are answered by a counter, or by what the test says.
pub(crate) struct Recorder {
    acts: Mutex<Vec<Act>>,
    more: Condvar,
    reads: Mutex<u64>,
    answer: Option<Answer>,
    reasons: Mutex<Vec<String>>,
}

impl Recorder {
    fn new(answer: Option<Answer>) -> Self {
        let (acts, reads, reasons) = (Mutex::default(), Mutex::default(), Mutex::default());
        Recorder { acts, more: Condvar::new(), reads, answer, reasons }
    }

    fn add(&self, act: Act) {
        self.acts.lock().push(act);
        self.more.notify_all();
    }

    fn answer(&self, data: &mut [u8]) {
        let mut reads = self.reads.lock();
        let value = self.answer.as_ref().map_or(*reads, |answer| answer(*reads));
        *reads += 1;
        machine::access::fill(data, value);
    }

    /// What the guest did so far.
    pub(crate) fn acts(&self) -> Vec<Act> {
        self.acts.lock().clone()
    }

    /// Why processors failed.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.reasons.lock().clone()
    }

    /// The values written to `port`, in order.
    pub(crate) fn written(&self, port: u16) -> Vec<u64> {
        self.acts().into_iter().filter(|act| matches!(act, Act::Out(p, _, _) if *p == port)).map(value).collect()
    }

    /// Waits until the acts fulfil `condition`, and returns them.
    #[track_caller]
    pub(crate) fn wait(&self, condition: impl Fn(&[Act]) -> bool) -> Vec<Act> {
        let end = Instant::now() + LIMIT;
        let mut acts = self.acts.lock();
        while !condition(&acts) {
            let late = self.more.wait_until(&mut acts, end).timed_out();
            assert!(!late || condition(&acts), "nothing more after {} acts: {:?}", acts.len(), acts.last());
        }
        acts.clone()
    }

    /// Waits until the guest writes to `port`.
    #[track_caller]
    pub(crate) fn wait_for_port(&self, port: u16) -> Vec<Act> {
        self.wait(|acts| acts.iter().any(|act| matches!(act, Act::Out(p, _, _) if *p == port)))
    }

    /// Waits until the guest has done `count` things more.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let target = self.acts.lock().len() + count;
        self.wait(|acts| acts.len() >= target);
    }
}

fn value(act: Act) -> u64 {
    match act {
        Act::Out(_, _, value) | Act::Write(_, _, value) => value,
        _ => 0,
    }
}

impl ExitHandler for Recorder {
    fn port_read(&self, port: u16, data: &mut [u8]) {
        self.answer(data);
        self.add(Act::In(port, data.len()));
    }
    fn port_write(&self, port: u16, data: &[u8]) {
        self.add(Act::Out(port, data.len(), machine::access::value_of(data)));
    }
    fn mmio_read(&self, address: u64, data: &mut [u8]) {
        self.answer(data);
        self.add(Act::Read(address, data.len()));
    }
    fn mmio_write(&self, address: u64, data: &[u8]) {
        self.add(Act::Write(address, data.len(), machine::access::value_of(data)));
    }
    fn event(&self, vcpu: u32, event: VcpuEvent) {
        if let VcpuEvent::Failed { reason } = &event {
            self.reasons.lock().push(reason.clone());
        }
        self.add(Act::Event(vcpu, event == VcpuEvent::TripleFault));
    }
}

/// A machine that answers nothing.
pub(crate) fn silent() -> Arc<dyn ExitHandler> {
    Arc::new(Recorder::new(None))
}

/// A machine with a test guest in it.
pub(crate) struct Bench {
    pub(crate) vcpus: Vcpus,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) partition: Partition,
    _rom: Mapping,
}

/// A partition, or the reason, loudly, why there is none here.
pub(crate) fn partition(cpus: u32) -> Option<Partition> {
    let memory = vec![(0, 0xa0000), (0x10_0000, 0x10_0000)];
    match Partition::new(&PartitionOptions { cpus, memory }) {
        Ok(partition) => Some(partition),
        Err(error @ (PartitionError::Missing { .. } | PartitionError::NotAllowed { .. })) => {
            eprintln!("SKIPPED, NOT TESTED: {error}");
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

impl Bench {
    /// A machine of `cpus` processors that will run `code`; `None` where there is no KVM.
    pub(crate) fn new(cpus: u32, code: &[u8]) -> Option<Bench> {
        Self::answering(cpus, code, None)
    }

    /// As `new`; the `n`th read from outside is answered by `answer(n)`.
    pub(crate) fn answering(cpus: u32, code: &[u8], answer: Option<Answer>) -> Option<Bench> {
        let partition = partition(cpus)?;
        let rom = DeviceMemory::new("rom", 0x1000).unwrap();
        // ljmp 0:1000
        rom.bytes().write_slice(&[0xea, 0x00, 0x10, 0x00, 0x00], 0xff0).unwrap();
        let rom = partition.map(0xffff_f000, &rom, MapAccess::ReadOnly, false).unwrap();
        partition.memory().write_slice(code, GuestAddress(ENTRY)).unwrap();
        let recorder = Arc::new(Recorder::new(answer));
        let vcpus = Vcpus::new(&partition, recorder.clone()).unwrap();
        vcpus.reset(StartState::Firmware).unwrap();
        Some(Bench { vcpus, recorder, partition, _rom: rom })
    }

    /// Runs the guest until it writes to port 0xf4, and pauses.
    #[track_caller]
    pub(crate) fn run_to_end(&self) -> Vec<Act> {
        self.vcpus.resume().unwrap();
        let acts = self.recorder.wait_for_port(0xf4);
        self.vcpus.pause().unwrap();
        acts
    }
}
