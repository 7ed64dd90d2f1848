//! At the console: pictures, keys, mouse, serial port.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use machine::{
    console::{Button, Input},
    control::{Reply, Request},
    state::State,
};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::{consts, iterator::Signals, low_level::emulate_default_handler};

use super::{connect, library, live, target::Target};
use crate::{arguments::Given, console_input, output};

/// What ends a serial console: Ctrl+].
const LEAVE: u8 = 0x1d;

pub(super) fn screenshot(given: &Given<'_>) -> Result<()> {
    let (machine, mut client) = connect(given, "screenshot")?;
    if given.flag("text") {
        return match client.ask(Request::Text)? {
            Reply::Text(Some(text)) => output::line(text.trim_end_matches('\n')),
            Reply::Text(None) => {
                bail!("'{}' shows a picture and no text. `tandem screenshot NAME FILE.png` saves it", machine.name())
            }
            reply => bail!("an unexpected answer: {reply:?}"),
        };
    }
    let target = Target::find(given.required("file")?)?;
    let Reply::Picture { bytes } = client.ask(Request::Screenshot)? else { bail!("an unexpected answer") };
    let png = client.bytes(bytes)?;
    target.write(&png)
}

pub(super) fn type_text(given: &Given<'_>) -> Result<()> {
    let keys = display::typing::inputs(&display::typing::strokes(given.required("text")?)?);
    send(given, "type", &keys)
}

fn send(given: &Given<'_>, id: &str, inputs: &[Input]) -> Result<()> {
    let (machine, mut client) = connect(given, id)?;
    console_input::send(&mut client, machine.name().as_str(), inputs)
}

pub(super) fn key(given: &Given<'_>) -> Result<()> {
    let mut inputs = Vec::new();
    for chord in given.texts("keys") {
        inputs.extend(chord.parse::<display::chord::Chord>()?.inputs());
    }
    send(given, "key", &inputs)
}

pub(super) fn mouse(given: &Given<'_>) -> Result<()> {
    let inputs = mouse_inputs(given.required("event")?, &given.texts("values"))?;
    send(given, "mouse", &inputs)
}

fn mouse_inputs(event: &str, values: &[&str]) -> Result<Vec<Input>> {
    let number = |text: &str| text.parse::<i32>().with_context(|| format!("'{text}' is no number"));
    Ok(match (event, values) {
        ("move", [dx, dy]) => vec![Input::Move { dx: number(dx)?, dy: number(dy)? }],
        ("wheel", [notches]) => vec![Input::Wheel { notches: number(notches)? }],
        ("press", [name]) => vec![Input::Button { button: button(name)?, down: true }],
        ("release", [name]) => vec![Input::Button { button: button(name)?, down: false }],
        ("click", [name]) => [true, false]
            .map(|down| button(name).map(|button| Input::Button { button, down }))
            .into_iter()
            .collect::<Result<_>>()?,
        ("move", _) => bail!("'move' takes two numbers: how far to the right, and how far down"),
        ("wheel", _) => bail!("'wheel' takes one number: how many notches, away from you"),
        _ => bail!("'{event}' takes one button: left, middle or right"),
    })
}

fn button(name: &str) -> Result<Button> {
    match name {
        "left" => Ok(Button::Left),
        "middle" => Ok(Button::Middle),
        "right" => Ok(Button::Right),
        "back" => Ok(Button::Back),
        "forward" => Ok(Button::Forward),
        _ => bail!("'{name}' is no button: left, middle, right, back or forward"),
    }
}

/// Connects this terminal to the serial port, until Ctrl+] or the machine's end.
pub(super) fn serial(given: &Given<'_>) -> Result<()> {
    let (machine, mut client) = connect(given, "serial")?;
    let Reply::Attached = client.ask(Request::Serial)? else { bail!("an unexpected answer") };
    let (socket, first, _) = client.into_parts();
    socket.set_read_timeout(None)?;
    let terminal = RawTerminal::enter()?;
    if terminal.is_some() {
        output::line(format_args!("Connected to '{}'. Ctrl+] ends the connection.\r", machine.name()))?;
    }
    let left = Arc::new(AtomicBool::new(false));
    // It may still wait for the keyboard in the end; the process ends with it.
    std::thread::Builder::new().name("keyboard".into()).spawn({
        let (to_guest, interactive, left) = (socket.try_clone()?, terminal.is_some(), left.clone());
        move || send_typed(to_guest, interactive, &left)
    })?;
    let heard = show_heard(socket, &first);
    drop(terminal);
    match heard {
        // The reader of our output has gone away (`tandem serial NAME | head -1`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        heard => heard?,
    }
    if left.load(Ordering::SeqCst) {
        return Ok(());
    }
    // The machine's end comes a moment after that of its connections.
    let state = live::look(&library()?, &machine, live::PATIENCE)?.state();
    if matches!(state, Some(State::Running | State::Paused)) {
        bail!("'{}' ended the connection: what it sent was read too slowly", machine.name());
    }
    Ok(())
}

/// Sends what is typed, until the end of the input or, at a terminal, Ctrl+].
fn send_typed(mut to_guest: UnixStream, interactive: bool, left: &AtomicBool) -> io::Result<()> {
    let mut chunk = [0; 256];
    loop {
        let count = io::stdin().read(&mut chunk)?;
        let typed = &chunk[..count];
        let leave = typed.iter().position(|&byte| interactive && byte == LEAVE);
        if leave.is_some() {
            left.store(true, Ordering::SeqCst);
        }
        to_guest.write_all(&typed[..leave.unwrap_or(count)])?;
        if count == 0 {
            // Input from a file has ended; what the guest says goes on to be shown.
            return Ok(());
        }
        if leave.is_some() {
            return to_guest.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Shows what the guest says, `first` first, until the connection ends.
fn show_heard(mut from_guest: UnixStream, first: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(first)?;
    let mut chunk = [0; 4096];
    loop {
        stdout.flush()?;
        match from_guest.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => stdout.write_all(&chunk[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Standard input as a terminal that passes on every key; as it was again when dropped, or when a signal ends the process.
struct RawTerminal(Termios);

impl RawTerminal {
    /// `None` when standard input is no terminal.
    ///
    /// # Errors
    /// The signals can't be listened to.
    fn enter() -> Result<Option<Self>> {
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(stdin.as_fd()) else { return Ok(None) };
        let mut signals = Signals::new([consts::SIGTERM, consts::SIGHUP, consts::SIGINT, consts::SIGQUIT])?;
        let at_signal = RawTerminal(before.clone());
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                drop(at_signal);
                let _ = emulate_default_handler(signal);
            }
        })?;
        let mut raw = before.clone();
        raw.make_raw();
        let terminal = RawTerminal(before);
        Ok(tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw).is_ok().then_some(terminal))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mouse_events_are_understood() {
        assert_eq!(mouse_inputs("move", &["-5", "7"]).unwrap(), [Input::Move { dx: -5, dy: 7 }]);
        let click = mouse_inputs("click", &["right"]).unwrap();
        assert_eq!(click, [true, false].map(|down| Input::Button { button: Button::Right, down }));
        for (event, values) in [("move", vec!["1"]), ("click", vec!["top"]), ("wheel", vec!["x"]), ("press", vec![])] {
            assert!(mouse_inputs(event, &values).is_err(), "{event} {values:?}");
        }
    }
}
