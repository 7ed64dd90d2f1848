//! What the whole-machine tests and the benchmarks have in common: the program under test with a library of its own, the
//! guests, QEMU to compare with, and waiting for a condition with a limit.
//!
//! The tests themselves are in the folder `tests`, one file a subject. They use the command line alone, as people do.
//! A test whose name begins with `long_` takes many minutes, and runs with `cargo xtask test --all`.

#![allow(clippy::print_stderr, reason = "what helps to understand a failed test is written there")]

pub mod bench;
pub mod console;
pub mod desktop;
pub mod guests;
pub mod host;
pub mod keys;
pub mod media;
pub mod picture;
pub mod qemu;
pub mod sound;
pub mod steps;
pub mod tandem;
pub mod wait;

pub use console::Console;
pub use desktop::{Desktop, Manager, Stopwatch, Window, Windowing, found};
pub use guests::{Guest, SECOND_DISK};
pub use keys::Key;
pub use picture::Picture;
pub use sound::SoundServer;
pub use tandem::{Machine, Said, Tandem};
pub use wait::{Patience, wait_closely, wait_until};
