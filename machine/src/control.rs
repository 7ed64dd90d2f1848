//! The control protocol: what the manager, the command line and tests say to a machine's process over its socket.
//!
//! One JSON object a line in each direction: an [`Envelope`] with a [`Request`], and a [`Reply`]. A connection may
//! carry many. Four things go beyond lines:
//! - [`Request::Insert`] comes with the disc's open file as `SCM_RIGHTS` on the line's first byte;
//! - [`Reply::Picture`] is followed by so many bytes of PNG;
//! - after [`Reply::Attached`] the connection is the serial line itself, raw, in both directions;
//! - after [`Reply::Console`] it is a window's own, and goes on as [`crate::window`] says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{console::Input, registers::Bank, state::State};

/// The version of the protocol. A machine that was started by an older program goes on running when the program is
/// replaced: both sides say which version they speak.
pub const VERSION: u32 = 1;

/// The longest line, in bytes.
pub const LINE_MAX: usize = 256 * 1024;

/// A request, with the version that the sender speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    pub request: Request,
}

impl Envelope {
    /// Wraps a request of this version.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Envelope { version: VERSION, request }
    }
}

/// What can be asked of a running machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Its state: [`Reply::Status`].
    Status,
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// Press the reset button.
    Reset,
    /// Press the power button.
    Stop,
    /// Pull the plug.
    Kill,
    /// The picture, as a PNG: [`Reply::Picture`].
    Screenshot,
    /// The picture made small, if it has changed: [`Reply::Thumbnail`], or [`Reply::Done`] if it hasn't.
    Thumbnail {
        /// The most that it may be wide, in pixels.
        width: u32,
        /// The most that it may be high, in pixels.
        height: u32,
        /// The number of the picture that the asker has.
        known: Option<u64>,
    },
    /// The characters on the screen: [`Reply::Text`].
    Text,
    /// What a person would do, one after the other, at a person's pace: [`Reply::Done`] or [`Reply::Untaken`]. It is one
    /// connection's turn until that ends or is silent for a second; others wait. A key that a connection has pressed is
    /// released at its end.
    Input(Vec<Input>),
    /// Attach to the first serial port: [`Reply::Attached`].
    Serial,
    /// Take the disc out of a drive.
    Eject {
        /// The drive's id.
        drive: String,
        /// Even if the guest has locked it.
        force: bool,
    },
    /// Put the disc whose file comes with this message into a drive.
    Insert {
        /// The drive's id.
        drive: String,
        /// Its file's name, to show to people.
        name: String,
    },
    /// Counters: [`Reply::Statistics`].
    Statistics,
    /// What processors and interrupt controllers hold: [`Reply::Registers`].
    Registers,
    /// Look at the console, in a window: [`Reply::Console`]. Where a window on the same `display` is open already, that one
    /// comes to the front instead: [`Reply::Done`]. One on another display is closed.
    Console {
        /// What tells the display apart from others, for example `"x11:0"`.
        display: String,
    },
}

/// What a machine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// It was done.
    Done,
    /// It was not done; a sentence that says why, and what it means.
    Refused(String),
    /// The guest leaves its input untaken: not everything was done, and no key is held.
    Untaken {
        /// How many of the inputs it took.
        taken: usize,
        /// Whether another waits in its device, to arrive when the guest reads it.
        waiting: bool,
    },
    /// The status.
    Status(Status),
    /// A PNG of so many bytes follows.
    Picture {
        /// Its length.
        bytes: usize,
    },
    /// A PNG of so many bytes follows.
    Thumbnail {
        /// Its length; zero when the machine shows nothing.
        bytes: usize,
        /// The number of the picture.
        number: u64,
    },
    /// The rows of the text screen, or nothing while a picture is shown.
    Text(Option<String>),
    /// The serial line follows.
    Attached,
    /// The console follows.
    Console,
    /// The counters.
    Statistics(Statistics),
    /// The registers.
    Registers(Vec<Bank>),
}

/// A machine's status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The state.
    pub state: State,
    /// The process that runs it.
    pub pid: u32,
    /// Resets since the start.
    pub resets: u64,
    /// Width and height of the picture, in pixels.
    pub screen: (u32, u32),
    /// Why the machine was paused, if the host can't do for now what the guest needs, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// What the host refused or the machine tolerated, a sentence each.
    pub notes: Vec<String>,
}

/// Counters of a running machine, by name, for example `"disk0.read-bytes"` or `"vcpu0.exits-io"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statistics(pub BTreeMap<String, u64>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;

    #[test]
    fn a_request_is_one_line_and_comes_back() {
        let request = Envelope::new(Request::Input(vec![Input::Key { key: Key::KeyA, down: true }]));
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"version":1,"request":{"input":[{"key":{"key":"KeyA","down":true}}]}}"#);
        assert_eq!(serde_json::from_str::<Envelope>(&line).unwrap(), request);
    }

    #[test]
    fn unknown_requests_and_fields_are_refused() {
        for line in [r#"{"version":1,"request":"explode"}"#, r#"{"version":1,"request":"pause","now":true}"#] {
            assert!(serde_json::from_str::<Envelope>(line).is_err(), "{line}");
        }
    }
}
