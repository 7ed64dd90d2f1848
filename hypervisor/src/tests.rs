//! Tests with real guests: a few instructions each, in real mode, on this host's KVM.

mod control;
mod harness;
mod interrupts;
mod memory;
mod ports;
mod state;
