//! What a machine runs on: guest memory, partition, vCPUs, interrupt chip, dirty pages, clocks, host check.
//!
//! Every ioctl and nearly all `unsafe` of the project is in this crate. The engines see its types and never
//! what is behind them.
//!
//! # Lock order
//! Outer before inner; a thread that holds one takes only those below it, and none is held while an
//! [`ExitHandler`](vcpu::ExitHandler) runs, except the coalesced ring's.
//!
//! 1. a vCPU set's `running` flag (held by `pause`, `resume`, `reset`, `save` and `restore`)
//! 2. the coalesced ring (held while its writes are handed to the exit handler, so a handler never drains)
//! 3. locks of the engine: buses, devices
//! 4. memory slots, then a dirty log's
//! 5. one interrupt pin's levels; the PIT's; the guest clock's; a vCPU's `control`

mod abi;
mod capability;
mod chips;
mod clock;
mod coalesced;
mod cpuid;
mod error;
pub mod host;
mod lines;
pub mod loader;
pub mod memory;
mod msr;
mod notes;
mod partition;
mod pit;
mod slots;
#[cfg(test)]
mod tests;
pub mod vcpu;

pub use coalesced::CoalescedRange;
pub use error::{MapError, PartitionError, StateError, VcpuError};
pub use notes::Note;
pub use partition::{MAX_CPUS, Partition, PartitionOptions, RESERVED};
pub use pit::PitChannel;
pub use slots::{MapAccess, Mapping};
