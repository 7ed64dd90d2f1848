//! What a machine plays, on its way from the socket of its packets ([`ToWindow::Sound`](machine::window::ToWindow::Sound))
//! to this computer's loudspeaker.
//!
//! The sound card is opened when something sounds and closed when nothing has for a while, so that it can sleep and be
//! somebody else's. None, or one that fails, is no error of the machine's: it is tried again later.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use display::{playback::Playback, sound::BLOCK_BYTES};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::RecvFlags,
};

/// How long nothing sounds before the card is let go.
const QUIET: Duration = Duration::from_secs(5);
/// How long after a failure the card is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Plays what comes, in a thread of its own, until the other end hangs up. Nothing is heard while `muted`.
///
/// # Errors
/// The host gives no thread.
pub(super) fn play(packets: OwnedFd, muted: Arc<AtomicBool>) -> io::Result<()> {
    let run = move || {
        let mut output = Output::default();
        let mut packet = [0; BLOCK_BYTES];
        loop {
            match receive(&packets, &mut packet, output.is_open().then_some(QUIET)) {
                Ok(Some([])) => return,
                Ok(Some(bytes)) if !muted.load(Ordering::Relaxed) => output.push(bytes),
                Ok(Some(_)) => {}
                Ok(None) => output = Output::default(),
                Err(error) => {
                    tracing::warn!(%error, "the machine's sound ended");
                    return;
                }
            }
        }
    };
    std::thread::Builder::new().name("sound".into()).spawn(run)?;
    Ok(())
}

/// The next packet: nothing within `limit`, or an empty one for the end.
fn receive<'a>(
    packets: &OwnedFd,
    packet: &'a mut [u8; BLOCK_BYTES],
    limit: Option<Duration>,
) -> rustix::io::Result<Option<&'a [u8]>> {
    let limit = limit.map(|limit| Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: 0 });
    loop {
        match rustix::event::poll(&mut [PollFd::new(packets, PollFlags::IN)], limit.as_ref()) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        }
        match rustix::net::recv(packets, &mut packet[..], RecvFlags::DONTWAIT) {
            Ok((_, count)) => return Ok(Some(&packet[..count.min(BLOCK_BYTES)])),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The sound card, while it is needed and there.
#[derive(Default)]
struct Output {
    playback: Option<Playback>,
    /// The card has failed since it was opened.
    failed: Arc<AtomicBool>,
    /// When it last did, which has been said.
    failed_at: Option<Instant>,
}

impl Output {
    fn is_open(&self) -> bool {
        self.playback.is_some()
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.failed.swap(false, Ordering::Relaxed) {
            self.playback = None;
            self.failed_at = Some(Instant::now());
        }
        if self.playback.is_none() && self.failed_at.is_none_or(|at| at.elapsed() >= AGAIN) {
            self.open();
        }
        let Some(playback) = &mut self.playback else { return };
        let samples = bytes.as_chunks().0.iter().map(|&sample| i16::from_le_bytes(sample));
        playback.push(samples);
    }

    fn open(&mut self) {
        let failed = self.failed.clone();
        let opened = Playback::begin(move |error| {
            tracing::info!("the sound card has failed: {error}");
            failed.store(true, Ordering::Relaxed);
        });
        match opened {
            Ok(playback) => (self.playback, self.failed_at) = (Some(playback), None),
            Err(error) => {
                if self.failed_at.is_none() {
                    tracing::info!("the machine can't be heard: {}", crate::output::sentence(&error.into()));
                }
                self.failed_at = Some(Instant::now());
            }
        }
    }
}
