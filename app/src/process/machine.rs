//! A machine in its process: what the control socket and the window act on.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use display::{
    pump::{Pump, Viewer},
    sound::{Listening, Mixer},
};
use machine::{
    console::TextScreen,
    control,
    driver::{Handle, Request, Status},
    registers::Bank,
    state::State,
};
use rustix::{
    io::Errno,
    net::{self, AddressFamily, SendFlags, SocketFlags, SocketType},
};
use vmm_engine::pc::{Parts, Pc};

use super::{
    input::Desk,
    media,
    serial::{Seat, SerialLine},
    window::WindowPlace,
};

/// How long the guest's last serial output may take to its file.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The largest side of a picture made small, in pixels.
const THUMBNAIL_MOST: u32 = 1024;

/// A running machine.
pub(super) struct Machine {
    handle: Handle<Pc>,
    parts: Parts,
    desk: Arc<Desk>,
    pump: Pump,
    serial: Arc<SerialLine>,
    mixer: Mixer,
    window: Arc<WindowPlace>,
}

impl Machine {
    pub(super) fn new(handle: Handle<Pc>, parts: Parts, serial: Arc<SerialLine>, mixer: Mixer) -> io::Result<Self> {
        let pump = Pump::spawn(parts.screen())?;
        let desk = Desk::new(parts.input());
        let (speaker, source) = (parts.clone(), handle.clone());
        mixer.refresh(Box::new(move || {
            speaker.refresh_speaker();
            source.status().state == State::Running
        }));
        Ok(Machine { handle, parts, desk, pump, serial, mixer, window: Arc::default() })
    }

    pub(super) fn ask(&self, request: Request) -> Result<()> {
        Ok(self.handle.request(request)?)
    }

    pub(super) fn status(&self) -> control::Status {
        let status = self.handle.status();
        let notes = self.handle.call(|pc| pc.notes()).unwrap_or_default();
        control::Status {
            state: status.state,
            pid: std::process::id(),
            resets: status.resets,
            screen: self.pump.size(),
            blocked: status.blocked,
            notes,
        }
    }

    pub(super) fn screenshot(&self) -> Result<Vec<u8>> {
        display::picture::png(&self.pump.snapshot()).context("the picture can't be made into a PNG")
    }

    /// The picture made small, as a PNG (nothing for no picture) with its number, unless that is `known`.
    pub(super) fn thumbnail(&self, size: (u32, u32), known: Option<u64>) -> Result<Option<(Vec<u8>, u64)>> {
        let Some((frame, number)) = self.pump.snapshot_after(known) else { return Ok(None) };
        let small = display::thumbnail::thumbnail(&frame, size.0.min(THUMBNAIL_MOST), size.1.min(THUMBNAIL_MOST));
        if small.width() == 0 {
            return Ok(Some((Vec::new(), number)));
        }
        Ok(Some((display::picture::png(&small)?, number)))
    }

    pub(super) fn text(&self) -> Option<TextScreen> {
        self.pump.text()
    }

    /// The driver's status as soon as it differs from `known`, or after `limit`.
    pub(super) fn watch_status(&self, limit: Duration, known: Option<&Status>) -> Status {
        self.handle.wait(limit, |status| Some(status) != known).0
    }

    /// One who looks at the picture; see [`Pump::viewer`].
    pub(super) fn viewer(&self, wake: impl Fn() + Send + Sync + 'static) -> Viewer {
        self.pump.viewer(wake)
    }

    /// The picture is likely to change: a person did something.
    pub(super) fn hurry_picture(&self) {
        self.pump.hurry();
    }

    /// What the machine plays, as packets on the socket that is given back, until the other thing is dropped. Packets that
    /// find no room are lost.
    pub(super) fn listen(&self) -> io::Result<(OwnedFd, Listening)> {
        let (ours, theirs) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let send = move |samples: &[i16]| {
            let bytes: &[u8] = bytemuck::cast_slice(samples);
            match net::send(&ours, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => true,
                Err(_) => false,
            }
        };
        Ok((theirs, self.mixer.listen(Box::new(send))))
    }

    /// The place for the machine's window.
    pub(super) fn window(&self) -> &Arc<WindowPlace> {
        &self.window
    }

    /// Keyboard and mouse.
    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// A place at the serial line; `None` when all are taken.
    pub(super) fn serial_seat(&self) -> Option<Seat> {
        self.serial.seat()
    }

    pub(super) fn attach_serial(&self, seat: Seat, socket: UnixStream, first: &[u8]) -> io::Result<()> {
        seat.attach(socket, first, |bytes| self.parts.receive_serial(bytes))
    }

    pub(super) fn eject(&self, drive: &str, force: bool) -> Result<()> {
        let id = drive.to_owned();
        self.handle.call(move |pc| pc.eject(&id, force))??;
        Ok(())
    }

    pub(super) fn insert(&self, drive: &str, name: &str, file: File) -> Result<()> {
        let disc = media::open_disc(file).with_context(|| format!("'{name}' can't be used as a disc"))?;
        let id = drive.to_owned();
        self.handle.call(move |pc| pc.insert(&id, disc, false))??;
        Ok(())
    }

    pub(super) fn statistics(&self) -> Result<control::Statistics> {
        let mut counters = self.handle.call(|pc| pc.counters())?;
        let screen = self.pump.counters();
        counters.insert("screen.polls".into(), screen.polls);
        counters.insert("screen.repaints".into(), screen.repaints);
        Ok(control::Statistics(counters))
    }

    pub(super) fn registers(&self) -> Result<Vec<Bank>> {
        Ok(self.handle.call(|pc| pc.registers())??)
    }

    /// The run is over: what the guest said last is brought to its file, which is free then.
    pub(super) fn finish(&self) {
        self.serial.close(LAST_WORDS);
    }
}
