//! A machine in its process: what the control socket and, later, the window act on.

use std::{fs::File, io, os::unix::net::UnixStream, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use display::pump::Pump;
use machine::{
    console::TextScreen,
    control,
    driver::{Handle, Request},
};
use vmm_engine::pc::{Parts, Pc};

use super::{
    input::Desk,
    media,
    serial::{Seat, SerialLine},
};

/// How long the guest's last serial output may take to its file.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running machine.
pub(super) struct Machine {
    handle: Handle<Pc>,
    parts: Parts,
    desk: Arc<Desk>,
    pump: Pump,
    serial: Arc<SerialLine>,
}

impl Machine {
    pub(super) fn new(handle: Handle<Pc>, parts: Parts, serial: Arc<SerialLine>) -> io::Result<Self> {
        let pump = Pump::spawn(parts.screen())?;
        let desk = Desk::new(parts.input());
        Ok(Machine { handle, parts, desk, pump, serial })
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

    pub(super) fn text(&self) -> Option<TextScreen> {
        self.pump.text()
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

    /// The run is over: what the guest said last is brought to its file, which is free then.
    pub(super) fn finish(&self) {
        self.serial.close(LAST_WORDS);
    }
}
