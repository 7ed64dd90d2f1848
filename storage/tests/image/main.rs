//! Images as a whole: against a model, against QEMU's tools, with many threads, killed, full, hostile.

// Clippy takes the helpers of tests for other code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod compatibility;
mod crash;
mod full;
mod hostile;
mod locks;
mod model;
mod reclaim;
mod support;
mod threads;
