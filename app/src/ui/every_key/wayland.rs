//! Under Wayland: the compositor is asked to leave its own keys alone (`keyboard-shortcuts-inhibit-unstable-v1`), as far as it
//! allows that. They come to winit then like all others.
//!
//! What is asked is about one of winit's surfaces, so it has to go through winit's connection: by its pointers.

use std::ptr::NonNull;

use anyhow::{Context, Result, bail};
use wayland_client::{
    Connection, Dispatch, EventQueue, Proxy, QueueHandle,
    backend::{Backend, ObjectId},
    delegate_noop,
    globals::{GlobalListContents, registry_queue_init},
    protocol::{
        wl_registry::{self, WlRegistry},
        wl_seat::WlSeat,
        wl_surface::WlSurface,
    },
};
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::{
    zwp_keyboard_shortcuts_inhibit_manager_v1::ZwpKeyboardShortcutsInhibitManagerV1,
    zwp_keyboard_shortcuts_inhibitor_v1::ZwpKeyboardShortcutsInhibitorV1,
};
use winit::{
    event_loop::OwnedDisplayHandle,
    raw_window_handle::{HasDisplayHandle as _, RawDisplayHandle, RawWindowHandle},
    window::WindowId,
};

use super::{EveryKey, Grabbed};

/// One who asks the compositor.
pub(in crate::ui) struct Inhibitor {
    connection: Connection,
    queue: EventQueue<Listener>,
    manager: ZwpKeyboardShortcutsInhibitManagerV1,
    seats: Vec<WlSeat>,
    window: Option<WindowId>,
    /// What was asked for it, for each seat.
    asked: Vec<ZwpKeyboardShortcutsInhibitorV1>,
    /// What all of the above stands on: it goes last.
    _display: OwnedDisplayHandle,
}

/// Nothing that the compositor says changes anything here.
struct Listener;

delegate_noop!(Listener: ignore WlSeat);
delegate_noop!(Listener: ignore ZwpKeyboardShortcutsInhibitManagerV1);
delegate_noop!(Listener: ignore ZwpKeyboardShortcutsInhibitorV1);

impl Dispatch<WlRegistry, GlobalListContents> for Listener {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Inhibitor {
    /// Speaks to the compositor at the other end of winit's connection.
    ///
    /// # Errors
    /// It can't be asked such things, or is gone.
    pub(in crate::ui) fn new(display: OwnedDisplayHandle) -> Result<Self> {
        let connection = Connection::from_backend(backend(&display)?);
        let (globals, queue) = registry_queue_init::<Listener>(&connection)?;
        let handle = queue.handle();
        let manager = globals.bind(&handle, 1..=1, ()).context("the compositor gives no window its own keys")?;
        let all = globals.contents().clone_list();
        let seats = all.iter().filter(|global| global.interface == WlSeat::interface().name);
        let seats = seats.map(|seat| globals.registry().bind(seat.name, 1, &handle, ())).collect();
        Ok(Inhibitor { connection, queue, manager, seats, window: None, asked: Vec::new(), _display: display })
    }
}

impl EveryKey for Inhibitor {
    fn window(&self) -> Option<WindowId> {
        self.window
    }

    fn grab(&mut self, window: WindowId, handle: RawWindowHandle) -> Result<()> {
        let RawWindowHandle::Wayland(handle) = handle else { bail!("no window of a Wayland compositor") };
        let surface = surface(&self.connection, handle.surface)?;
        let ask = |seat| self.manager.inhibit_shortcuts(&surface, seat, &self.queue.handle(), ());
        self.asked = self.seats.iter().map(ask).collect();
        self.window = Some(window);
        Ok(self.connection.flush()?)
    }

    fn release(&mut self) {
        self.window = None;
        self.asked.drain(..).for_each(|asked| asked.destroy());
        // A compositor that is gone keeps nothing.
        let _ = self.connection.flush();
    }

    fn take(&mut self) -> Vec<Grabbed> {
        // What has arrived is to be let go of. Winit hears of a connection that is over as well.
        let _ = self.queue.dispatch_pending(&mut Listener);
        Vec::new()
    }

    fn takes_focus(&self) -> bool {
        false
    }
}

#[expect(unsafe_code, reason = "winit gives a pointer")]
fn backend(display: &OwnedDisplayHandle) -> Result<Backend> {
    let RawDisplayHandle::Wayland(raw) = display.display_handle()?.as_raw() else {
        bail!("no connection to a Wayland compositor")
    };
    // SAFETY: The display is there as long as its handle, which `Inhibitor` keeps and drops last.
    Ok(unsafe { Backend::from_foreign_display(raw.display.as_ptr().cast()) })
}

#[expect(unsafe_code, reason = "winit gives a pointer")]
fn surface(connection: &Connection, surface: NonNull<std::ffi::c_void>) -> Result<WlSurface> {
    // SAFETY: It is the surface of a window that is there now, as `EveryKey::grab` demands, and of the same connection. It is used
    // for one request only.
    let id = unsafe { ObjectId::from_ptr(WlSurface::interface(), surface.as_ptr().cast()) }?;
    Ok(WlSurface::from_id(connection, id)?)
}
