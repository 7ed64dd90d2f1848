//! At the console: pictures, keys, mouse, serial port.

use std::{
    io::{Read, Write},
    os::fd::AsFd,
};

use anyhow::{Context, Result, bail};
use machine::{
    console::{Button, Input},
    control::{Reply, Request},
};

use super::{connect, target::Target};
use crate::{arguments::Given, output};

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

/// Does all of `inputs` at the console, a few at a time: each is answered when the guest has taken it.
fn send(given: &Given<'_>, id: &str, inputs: &[Input]) -> Result<()> {
    const AT_ONCE: usize = 64;
    let (_, mut client) = connect(given, id)?;
    inputs.chunks(AT_ONCE).try_for_each(|inputs| client.ask(Request::Input(inputs.to_vec())).map(drop))
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
    let (socket, first) = client.into_stream();
    socket.set_read_timeout(None)?;
    let terminal = RawTerminal::enter();
    if terminal.is_some() {
        output::line(format_args!("Connected to '{}'. Ctrl+] ends the connection.\r", machine.name()))?;
    }
    let mut from_guest = socket.try_clone()?;
    let interactive = terminal.is_some();
    let send = std::thread::Builder::new().name("keyboard".into()).spawn({
        let mut to_guest = socket.try_clone()?;
        move || -> std::io::Result<()> {
            let mut chunk = [0; 256];
            loop {
                let count = std::io::stdin().read(&mut chunk)?;
                let typed = &chunk[..count];
                let leave = typed.iter().position(|&byte| interactive && byte == LEAVE);
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
    })?;
    let mut stdout = std::io::stdout();
    stdout.write_all(&first)?;
    let mut chunk = [0; 4096];
    loop {
        stdout.flush()?;
        match from_guest.read(&mut chunk)? {
            0 => break,
            count => stdout.write_all(&chunk[..count])?,
        }
    }
    drop(terminal);
    // The thread may still wait for the keyboard; the process ends with it.
    drop(send);
    Ok(())
}

/// Standard input as a terminal that passes on every key; as it was again when dropped.
struct RawTerminal(rustix::termios::Termios);

impl RawTerminal {
    /// `None` when standard input is no terminal.
    fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = rustix::termios::tcgetattr(stdin.as_fd()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin.as_fd(), rustix::termios::OptionalActions::Now, &raw).ok()?;
        Some(RawTerminal(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let stdin = std::io::stdin();
        let _ = rustix::termios::tcsetattr(stdin.as_fd(), rustix::termios::OptionalActions::Now, &self.0);
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
