//! Whether this host's KVM runs unmodified operating systems: tried with a guest of our own, not guessed.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use vm_memory::Bytes;

use super::trial_guest::{self, MEMORY, PORT, STEPS, WRONG};
use crate::{
    MapAccess, Partition, PartitionError, PartitionOptions,
    memory::DeviceMemory,
    vcpu::{ExitHandler, StartState, VcpuEvent, Vcpus},
};

/// How far the trial came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trial {
    /// All steps.
    Passed,
    /// It stopped in the step with this name.
    Failed { step: &'static str, why: String },
}

#[derive(Default)]
struct Progress {
    steps: usize,
    end: Option<String>,
}

/// Follows the guest's steps.
#[derive(Default)]
struct Witness {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Witness {
    fn end(&self, why: String) {
        self.progress.lock().end.get_or_insert(why);
        self.changed.notify_all();
    }
}

impl ExitHandler for Witness {
    fn port_read(&self, _port: u16, data: &mut [u8]) {
        machine::access::fill_unclaimed(data);
    }

    fn port_write(&self, port: u16, data: &[u8]) {
        if port != PORT {
            return;
        }
        let mut progress = self.progress.lock();
        match data {
            [WRONG] => {
                drop(progress);
                self.end("a result was wrong".into());
            }
            [step] if usize::from(*step) == progress.steps + 1 => {
                progress.steps += 1;
                self.changed.notify_all();
            }
            _ => {
                drop(progress);
                self.end("it went astray".into());
            }
        }
    }

    fn mmio_read(&self, _address: u64, data: &mut [u8]) {
        machine::access::fill_unclaimed(data);
    }

    fn mmio_write(&self, _address: u64, _data: &[u8]) {}

    fn event(&self, _vcpu: u32, event: VcpuEvent) {
        self.end(match event {
            VcpuEvent::TripleFault => "a triple fault".into(),
            VcpuEvent::Failed { reason } => reason,
        });
    }
}

/// Runs the trial on the KVM device at `path`, for at most `limit`.
///
/// # Errors
/// There is no partition to try it in.
pub(super) fn run(path: &Path, limit: Duration) -> Result<Trial, PartitionError> {
    let deadline = Instant::now() + limit;
    let partition = Partition::new_at(path, &PartitionOptions { cpus: 1, memory: vec![(0, MEMORY)] })?;
    let witness = Arc::new(Witness::default());
    // What can't even be set up counts as a failure of the first step.
    let machine = match set_up(&partition, witness.clone()) {
        Ok(machine) => machine,
        Err(error) => return Ok(Trial::Failed { step: STEPS[0], why: error.to_string() }),
    };
    let mut progress = witness.progress.lock();
    while progress.steps < STEPS.len() && progress.end.is_none() {
        if witness.changed.wait_until(&mut progress, deadline).timed_out() {
            progress.end.get_or_insert_with(|| format!("nothing more within {} s", limit.as_secs()));
        }
    }
    let result = match (STEPS.get(progress.steps), progress.end.take()) {
        (None, _) => Trial::Passed,
        (Some(step), why) => Trial::Failed { step, why: why.unwrap_or_default() },
    };
    drop(progress);
    drop(machine);
    Ok(result)
}

fn set_up(partition: &Partition, witness: Arc<Witness>) -> Result<(Vcpus, crate::Mapping), Box<dyn std::error::Error>> {
    // ljmp 0:1000 at the reset vector.
    let rom = DeviceMemory::new("trial-rom", 0x1000)?;
    rom.bytes().write_slice(&[0xea, 0x00, 0x10, 0x00, 0x00], 0xff0)?;
    let rom = partition.map(0xffff_f000, &rom, MapAccess::ReadOnly, false)?;
    trial_guest::load(partition.memory())?;
    let vcpus = Vcpus::new(partition, witness)?;
    vcpus.reset(StartState::Firmware)?;
    vcpus.resume()?;
    Ok((vcpus, rom))
}
