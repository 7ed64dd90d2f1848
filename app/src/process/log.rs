//! The log of a run: everything into the machine's file, warnings also to the terminal of whoever waits there.

use std::{fs::File, io, sync::Mutex};

use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};
use vmm_engine::debugcon::LineSink;

/// The target of what is told to the terminal in another way.
pub(super) const ONLY_FILE: &str = "start";

/// Logs into `file` from now on, and warnings to standard error if somebody is there.
pub(super) fn to_file(file: File, terminal: bool) {
    let lines = fmt::layer().with_ansi(false).with_writer(Mutex::new(file)).with_filter(LevelFilter::INFO);
    let warnings = terminal.then(|| {
        fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(io::stderr)
            .with_filter(filter_fn(|metadata| *metadata.level() <= Level::WARN && metadata.target() != ONLY_FILE))
    });
    // Set once in the process; a second time would be a mistake of ours, and changes nothing.
    let _ = tracing_subscriber::registry().with(lines).with(warnings).try_init();
}

/// What the firmware says goes into the log, up to this many lines a run: a guest can talk for ever.
const FIRMWARE_LINES_MAX: u64 = 10_000;

/// Where the firmware's lines go.
pub(super) fn firmware_lines() -> LineSink {
    let mut count = 0;
    Box::new(move |line| {
        count += 1;
        match count {
            ..=FIRMWARE_LINES_MAX => tracing::info!(target: "firmware", "{line}"),
            _ if count == FIRMWARE_LINES_MAX + 1 => {
                tracing::warn!(target: "firmware", "says too much: the rest isn't logged");
            }
            _ => {}
        }
    })
}
