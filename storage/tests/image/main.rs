//! Images as a whole: against a model, against QEMU's tools, with many threads, killed, full, hostile.

mod compatibility;
mod crash;
mod full;
mod hostile;
mod locks;
mod model;
mod support;
mod threads;
