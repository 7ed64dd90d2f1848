//! Under X11: a grab of the keyboard. It is made by a connection of our own, to which the X server then sends the keys instead of to
//! winit's.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use parking_lot::Mutex;
use winit::{
    keyboard::PhysicalKey, platform::scancode::PhysicalKeyExtScancode, raw_window_handle::RawWindowHandle,
    window::WindowId,
};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xkb::{ConnectionExt as _, ID, PerClientFlag},
        xproto::{
            ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GrabMode, GrabStatus, NotifyDetail, NotifyMode,
        },
    },
    rust_connection::RustConnection,
};

use super::{EveryKey, Grabbed};

/// A window that takes no key for so long hangs. The desktop gets its keys back, so that it can be ended.
const HANGS: Duration = Duration::from_secs(5);

/// An X server's key codes are those of Linux and this (X keyboard extension's `evdev` key codes).
const FIRST_KEY: u8 = 8;

/// A connection that can grab the keyboard.
pub(in crate::ui) struct KeyboardGrab {
    connection: Arc<RustConnection>,
    received: Receiver<Grabbed>,
    /// Since when something waits to be taken.
    waiting: Arc<Mutex<Option<Instant>>>,
    /// The window for which it is grabbed, and the server's number of it.
    grabbed: Option<(WindowId, u32)>,
}

impl KeyboardGrab {
    /// Connects to the X server that winit is connected to. `wake` is called when something has happened.
    ///
    /// # Errors
    /// The server refuses, or the host gives no thread.
    pub(in crate::ui) fn connect(wake: impl Fn() + Send + 'static) -> Result<Self> {
        let (connection, _) = x11rb::connect(None).context("no second connection to the X server")?;
        let connection = Arc::new(connection);
        // A key that repeats is to go down again and again, and not up in between.
        let wanted = PerClientFlag::DETECTABLE_AUTO_REPEAT;
        ensure!(connection.xkb_use_extension(1, 0)?.reply()?.supported, "the X server lacks the keyboard extension");
        let none = Default::default();
        let flags = connection.xkb_per_client_flags(ID::USE_CORE_KBD.into(), wanted, wanted, none, none, none)?;
        flags.reply()?;
        let (events, received) = mpsc::channel();
        let waiting = Arc::default();
        let listener = Listener { connection: connection.clone(), events, waiting: Arc::clone(&waiting) };
        std::thread::Builder::new().name("every-key".into()).spawn(move || listener.listen(&wake))?;
        Ok(KeyboardGrab { connection, received, waiting, grabbed: None })
    }
}

impl EveryKey for KeyboardGrab {
    fn window(&self) -> Option<WindowId> {
        self.grabbed.map(|(window, _)| window)
    }

    fn grab(&mut self, window: WindowId, handle: RawWindowHandle) -> Result<()> {
        let id = match handle {
            RawWindowHandle::Xlib(handle) => u32::try_from(handle.window)?,
            RawWindowHandle::Xcb(handle) => handle.window.get(),
            _ => bail!("no window of an X server"),
        };
        let focus = ChangeWindowAttributesAux::new().event_mask(EventMask::FOCUS_CHANGE);
        self.connection.change_window_attributes(id, &focus)?.check()?;
        let mode = GrabMode::ASYNC;
        let status = self.connection.grab_keyboard(false, id, x11rb::CURRENT_TIME, mode, mode)?.reply()?.status;
        ensure!(status == GrabStatus::SUCCESS, "the X server refuses the keyboard: {status:?}");
        self.grabbed = Some((window, id));
        Ok(())
    }

    fn release(&mut self) {
        let Some((_, id)) = self.grabbed.take() else { return };
        let nothing = ChangeWindowAttributesAux::new().event_mask(EventMask::NO_EVENT);
        // A server that is gone holds no keyboard, and a window that is gone has no events.
        let _ = self.connection.ungrab_keyboard(x11rb::CURRENT_TIME);
        let _ = self.connection.change_window_attributes(id, &nothing);
        let _ = self.connection.flush();
    }

    fn take(&mut self) -> Vec<Grabbed> {
        *self.waiting.lock() = None;
        self.received.try_iter().collect()
    }

    fn takes_focus(&self) -> bool {
        true
    }
}

struct Listener {
    connection: Arc<RustConnection>,
    events: Sender<Grabbed>,
    waiting: Arc<Mutex<Option<Instant>>>,
}

impl Listener {
    /// It ends with the connection, or with the one who takes what is heard.
    fn listen(&self, wake: &dyn Fn()) {
        while let Ok(event) = self.connection.wait_for_event() {
            let Some(grabbed) = meaning(&event) else { continue };
            let since = *self.waiting.lock().get_or_insert_with(Instant::now);
            let hangs = since.elapsed() > HANGS;
            if hangs {
                let _ = self.connection.ungrab_keyboard(x11rb::CURRENT_TIME);
                let _ = self.connection.flush();
            }
            if self.events.send(if hangs { Grabbed::Lost } else { grabbed }).is_err() {
                return;
            }
            wake();
        }
    }
}

fn meaning(event: &Event) -> Option<Grabbed> {
    let key = |code: u8| PhysicalKey::from_scancode(u32::from(code.saturating_sub(FIRST_KEY)));
    match event {
        Event::KeyPress(event) => Some(Grabbed::Key(key(event.detail), true)),
        Event::KeyRelease(event) => Some(Grabbed::Key(key(event.detail), false)),
        // The grab itself takes the keyboard from the window, in the server's eyes; and what is inside of it, or follows the
        // pointer, is the window as well.
        Event::FocusOut(event)
            if [NotifyMode::GRAB, NotifyMode::UNGRAB].contains(&event.mode)
                || [NotifyDetail::INFERIOR, NotifyDetail::POINTER].contains(&event.detail) =>
        {
            None
        }
        Event::FocusOut(_) => Some(Grabbed::Lost),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use winit::keyboard::KeyCode;
    use x11rb::protocol::xproto::{FocusOutEvent, KeyPressEvent};

    use super::*;

    #[test]
    fn keys_and_the_loss_of_the_keyboard_are_understood() {
        let press = |detail| Event::KeyPress(KeyPressEvent { detail, ..KeyPressEvent::default() });
        let release = |detail| Event::KeyRelease(KeyPressEvent { detail, ..KeyPressEvent::default() });
        assert_eq!(meaning(&press(38)), Some(Grabbed::Key(PhysicalKey::Code(KeyCode::KeyA), true)));
        assert_eq!(meaning(&release(133)), Some(Grabbed::Key(PhysicalKey::Code(KeyCode::SuperLeft), false)));
        let out = |mode| {
            let detail = NotifyDetail::NONLINEAR;
            Event::FocusOut(FocusOutEvent { mode, detail, ..FocusOutEvent::default() })
        };
        assert_eq!(meaning(&out(NotifyMode::GRAB)), None);
        assert_eq!(meaning(&out(NotifyMode::WHILE_GRABBED)), Some(Grabbed::Lost));
        assert_eq!(meaning(&out(NotifyMode::NORMAL)), Some(Grabbed::Lost));
    }
}
