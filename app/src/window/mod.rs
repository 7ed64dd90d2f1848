//! A machine's window: a process of its own, which may be opened and closed while the machine runs.
//!
//! It is apart from the machine's process because a display can go away, and a graphics driver crash, and the machine is to
//! run on; and because the machine's process can then be small and locked in. Pixels come through shared memory
//! ([`machine::window`]).

mod app;
mod hands;
mod keyboard;
mod link;
mod note;
mod pictures;
mod shader_screen;
mod sound;
mod status_bar;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, bail};
use eframe::egui;
use machine::{
    control::{Reply, Request},
    keys::Key,
};
use storage::library::{Library, Machine};

use self::{
    app::{MachineWindow, Subject},
    hands::Hands,
    link::Link,
    shader_screen::ShaderScreen,
};
use crate::{live, ui};

/// The key that, with another, means this window and not the guest.
const HOST_KEY: Key = Key::ControlRight;

/// Shows the window of `machine` until it is closed. One that is open already on this display comes to the front instead.
///
/// # Errors
/// The machine doesn't run, or there is no display.
pub(crate) fn run(library: &Library, machine: &Machine) -> Result<()> {
    let Some(display) = ui::shell::display_name() else {
        bail!(
            "there is no display to open a window on (neither WAYLAND_DISPLAY nor DISPLAY is set). '{}' runs on without",
            machine.name()
        );
    };
    let mut client = live::look(library, machine, live::PATIENCE)?.into_client(machine, "window")?;
    match client.ask(Request::Console { display })? {
        Reply::Console => {}
        // It is open, and was told to come to the front.
        Reply::Done => return Ok(()),
        _ => bail!("an unexpected answer"),
    }
    let context: Arc<OnceLock<egui::Context>> = Arc::default();
    let woken = context.clone();
    let wake = move || {
        if let Some(context) = woken.get() {
            context.request_repaint();
        }
    };
    let (socket, first, files) = client.into_parts();
    let link = Link::new(socket, first, files, wake).context("the host gives no thread")?;
    let hands = Rc::new(RefCell::new(Hands::new(link.clone(), HOST_KEY)));
    let subject = Subject { library: library.clone(), machine: machine.clone() };
    let viewport = egui::ViewportBuilder::default().with_inner_size([740.0, 470.0]).with_min_inner_size([420.0, 320.0]);
    let title = machine.name().as_str();
    let screen = Rc::new(RefCell::new(ShaderScreen::new(link.clone(), title)));
    ui::shell::run_covered(title, viewport, hands.clone(), screen.clone(), |surroundings| {
        Box::new(move |creation| {
            ui::theme::apply(&creation.egui_ctx);
            let _ = context.set(creation.egui_ctx.clone());
            hands.borrow_mut().attend(creation.egui_ctx.clone());
            Ok(Box::new(MachineWindow::new(subject, link, hands, screen, surroundings)))
        })
    })
}
