//! What a machine runs on: guest memory, partition, vCPUs, interrupt chip, dirty pages, clocks, host check.
//!
//! Every ioctl and nearly all `unsafe` of the project is in this crate. The engines see its types and never
//! what is behind them.

pub mod loader;
pub mod memory;
