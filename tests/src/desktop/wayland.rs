//! A Wayland compositor, and a person made of its virtual keyboard and pointer
//! (`virtual-keyboard-unstable-v1`, `wlr-virtual-pointer-unstable-v1`).

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_keyboard::KeymapFormat;
use wayland_client::protocol::wl_pointer::ButtonState;
use wayland_client::protocol::{wl_registry, wl_seat};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::{
    zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1, zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1,
};
use wayland_protocols_wlr::virtual_pointer::v1::client::{
    zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1, zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1,
};

use super::{PATIENCE, Running, Server, said};
use crate::keys::{Key, Stroke};
use crate::wait::wait_until;

/// The screen, in pixels.
const SCREEN: (u32, u32) = (1600, 1000);

/// Windows float, as on most desktops, and begin where all of a large one is seen.
const CONFIG: &str = "xwayland disable
output * resolution 1600x1000 position 0 0
default_border none
default_floating_border none
bindsym Mod1+F4 kill
for_window [app_id=\".*\"] floating enable, border none, move absolute position 0 0
";

/// What a keyboard's keys mean, by the names that xkbcommon looks up (the XKB protocol, "Keyboard geometry" aside).
const KEYMAP: &str = "xkb_keymap {
    xkb_keycodes { include \"evdev+aliases(qwerty)\" };
    xkb_types { include \"complete\" };
    xkb_compat { include \"complete\" };
    xkb_symbols { include \"pc+us+inet(evdev)\" };
};
";

/// The code of the left button (`linux/input-event-codes.h`, `BTN_LEFT`).
const LEFT_BUTTON: u32 = 0x110;

/// Sway without a screen.
pub(super) struct Wayland {
    server: Running,
    /// The socket of the compositor, and the one by which its windows are spoken of.
    display: PathBuf,
    control: PathBuf,
    person: RefCell<Person>,
}

/// A keyboard and a pointer.
struct Person {
    queue: EventQueue<Globals>,
    keyboard: ZwpVirtualKeyboardV1,
    pointer: ZwlrVirtualPointerV1,
    /// The modifiers that are held.
    held: u32,
    began: Instant,
}

/// What the compositor tells, none of which is of use here.
struct Globals;

impl Wayland {
    /// With its files in `dir`, which is empty.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let config = dir.join("config");
        fs::write(&config, CONFIG)?;
        let runtime = dir.join("runtime");
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700))?;
        let control = runtime.join("control");
        let root = rustix::process::geteuid().is_root();
        let mut command = Command::new(if root { "setpriv" } else { "sway" });
        if root {
            // It refuses to run as root, but serves root's programs.
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
            let nobody =
                said(Command::new("id").args(["-u", "nobody"]))?.trim().parse().context("'id' prints no number")?;
            std::os::unix::fs::chown(&runtime, Some(nobody), None)?;
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sway"]);
        }
        command.arg("--config").arg(&config).env("XDG_RUNTIME_DIR", &runtime).env("SWAYSOCK", &control);
        command.env("WLR_BACKENDS", "headless").env("WLR_LIBINPUT_NO_DEVICES", "1").env("WLR_RENDERER", "pixman");
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        let log = fs::File::create(dir.join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let server = Running(command.spawn().context("can't run sway")?);
        let display = wait_until("the Wayland compositor", PATIENCE, || {
            let files = fs::read_dir(&runtime)?.filter_map(Result::ok).map(|entry| entry.path());
            let socket = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("wayland-") && !name.ends_with(".lock")
            };
            Ok(files.filter(socket).find(|path| UnixStream::connect(path).is_ok() && control.exists()))
        });
        let display = display.with_context(|| fs::read_to_string(dir.join("log")).unwrap_or_default())?;
        let person = RefCell::new(Person::at(&display)?);
        Ok(Self { server, display, control, person })
    }

    /// What sway answers.
    fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new("swaymsg");
        command.args(["--raw", "--socket"]).arg(&self.control).args(words);
        Ok(serde_json::from_str(&said(&mut command).with_context(|| words.join(" "))?)?)
    }

    /// The windows that are shown.
    fn windows(&self) -> Result<Vec<Value>> {
        let mut windows = Vec::new();
        collect(&self.ask(&["-t", "get_tree"])?, &mut windows);
        Ok(windows)
    }

    /// Where a window is on the screen: left, top, width and height.
    fn place(&self, window: &str) -> Result<[u32; 4]> {
        let windows = self.windows()?;
        let id: u64 = window.parse()?;
        let found = windows.iter().find(|one| one["id"].as_u64() == Some(id));
        let rect = &found.with_context(|| format!("window {window} is gone"))?["rect"];
        let number = |name: &str| rect[name].as_u64().and_then(|number| u32::try_from(number).ok());
        let place = || Some([number("x")?, number("y")?, number("width")?, number("height")?]);
        place().with_context(|| format!("window {window} is not on the screen: {rect}"))
    }
}

/// Finds the windows below a node of sway's tree (sway-ipc(7), `GET_TREE`).
fn collect(node: &Value, windows: &mut Vec<Value>) {
    if node["pid"].is_number() && node["visible"] == true {
        windows.push(node.clone());
    }
    for list in ["nodes", "floating_nodes"] {
        for below in node[list].as_array().into_iter().flatten() {
            collect(below, windows);
        }
    }
}

impl Server for Wayland {
    fn surround(&self, command: &mut Command) {
        command.env("WAYLAND_DISPLAY", &self.display).env_remove("DISPLAY");
    }

    fn find(&self, title: &str) -> Result<Vec<String>> {
        let windows = self.windows()?;
        Ok(windows.iter().filter(|window| window["name"] == title).map(|window| window["id"].to_string()).collect())
    }

    fn activate(&self, window: &str) -> Result<()> {
        self.ask(&[&format!("[con_id={window}] focus")]).map(drop)
    }

    fn press(&self, strokes: &[Stroke]) -> Result<()> {
        let mut person = self.person.borrow_mut();
        strokes.iter().try_for_each(|&(key, down)| person.stroke(key, down))
    }

    fn click(&self, window: &str, x: u32, y: u32) -> Result<()> {
        let [left, top, ..] = self.place(window)?;
        self.person.borrow_mut().click(left + x, top + y)
    }

    fn move_by(&self, dx: i32, dy: i32) -> Result<()> {
        self.person.borrow_mut().move_by(dx, dy)
    }

    fn capture(&self, window: &str, file: &Path) -> Result<()> {
        let [left, top, width, height] = self.place(window)?;
        let mut command = Command::new("grim");
        self.surround(&mut command);
        said(command.args(["-g", &format!("{left},{top} {width}x{height}")]).arg(file)).map(drop)
    }

    fn crash(&mut self) -> Result<()> {
        self.server.end()
    }
}

impl Person {
    /// Sits down at the compositor behind a socket.
    fn at(display: &Path) -> Result<Self> {
        let socket = UnixStream::connect(display)?;
        let connection = Connection::from_socket(socket)?;
        let (globals, queue) = registry_queue_init::<Globals>(&connection)?;
        let handle = queue.handle();
        let seat: wl_seat::WlSeat = globals.bind(&handle, 1..=7, ())?;
        let keyboards: ZwpVirtualKeyboardManagerV1 = globals.bind(&handle, 1..=1, ())?;
        let pointers: ZwlrVirtualPointerManagerV1 = globals.bind(&handle, 1..=2, ())?;
        let keyboard = keyboards.create_virtual_keyboard(&seat, &handle, ());
        let pointer = pointers.create_virtual_pointer(Some(&seat), &handle, ());
        let mut keymap = tempfile::tempfile()?;
        keymap.write_all(KEYMAP.as_bytes())?;
        // It ends with a zero.
        keymap.write_all(&[0])?;
        let size = u32::try_from(KEYMAP.len() + 1)?;
        keyboard.keymap(KeymapFormat::XkbV1.into(), keymap.as_fd(), size);
        let mut person = Self { queue, keyboard, pointer, held: 0, began: Instant::now() };
        // Where it hides nothing: what is captured has the pointer in it.
        person.point(SCREEN.0 - 1, SCREEN.1 - 1)?;
        Ok(person)
    }

    /// The time of an event, in milliseconds from any moment.
    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    /// Waits until the compositor has taken what was done.
    fn done(&mut self) -> Result<()> {
        self.queue.roundtrip(&mut Globals)?;
        Ok(())
    }

    fn stroke(&mut self, key: Key, down: bool) -> Result<()> {
        self.keyboard.key(self.now(), key.0, u32::from(down));
        if key.modifier() != 0 {
            self.held = if down { self.held | key.modifier() } else { self.held & !key.modifier() };
            self.keyboard.modifiers(self.held, 0, 0, 0);
        }
        self.done()
    }

    fn click(&mut self, x: u32, y: u32) -> Result<()> {
        self.point(x, y)?;
        for state in [ButtonState::Pressed, ButtonState::Released] {
            self.pointer.button(self.now(), LEFT_BUTTON, state);
            self.pointer.frame();
        }
        self.done()
    }

    fn point(&mut self, x: u32, y: u32) -> Result<()> {
        ensure!(x < SCREEN.0 && y < SCREEN.1, "({x}, {y}) is not on the screen");
        self.pointer.motion_absolute(self.now(), x, y, SCREEN.0, SCREEN.1);
        self.pointer.frame();
        self.done()
    }

    fn move_by(&mut self, dx: i32, dy: i32) -> Result<()> {
        self.pointer.motion(self.now(), f64::from(dx), f64::from(dy));
        self.pointer.frame();
        self.done()
    }
}

impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for Globals {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Globals: ignore wl_seat::WlSeat);
delegate_noop!(Globals: ignore ZwpVirtualKeyboardManagerV1);
delegate_noop!(Globals: ignore ZwpVirtualKeyboardV1);
delegate_noop!(Globals: ignore ZwlrVirtualPointerManagerV1);
delegate_noop!(Globals: ignore ZwlrVirtualPointerV1);
