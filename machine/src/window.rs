//! What a machine's process and its window say to each other, after [`Request::Console`](crate::control::Request::Console)
//! has made their connection the window's own: one JSON object a line, [`ToWindow`] and [`FromWindow`].
//!
//! Pixels travel in shared memory. A [`ToWindow::Picture`] comes with a memory file as `SCM_RIGHTS` on its line's first
//! byte: rows from top to bottom without gaps, each pixel `0x00RRGGBB` in four bytes, least significant first. The machine
//! writes to it only between the window's [`FromWindow::Seen`] and its own next [`ToWindow::Damage`], so that nobody reads
//! what is being written, and a slow window gets fewer pictures rather than late ones.
//!
//! Sound travels beside the line, which a busy window may read late: [`ToWindow::Sound`] comes with a socket of its own.

use serde::{Deserialize, Serialize};

use crate::{
    console::{Input, Rect},
    control::Status,
};

/// The longest line, in bytes.
pub const LINE_MAX: usize = 64 * 1024;

/// What a machine says to its window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToWindow {
    /// The picture has this size from now on; all of it is new. Its memory comes with this message. Zero by zero: the
    /// display adapter has no mode, and no memory comes.
    Picture {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
    },
    /// These parts of the picture are new.
    Damage(Vec<Rect>),
    /// What the machine plays comes from now on through the socket (`SOCK_SEQPACKET`) that comes with this message: each
    /// packet holds samples of 16 bits, least significant byte first, left and right in turn, 48,000 of each a second.
    /// Where nothing sounds, nothing comes; what isn't taken in time is lost.
    Sound,
    /// The machine's status has changed, or this is the first.
    Status(Status),
    /// Somebody wants to see the window: it comes to the front.
    Raise,
    /// Another window has taken this one's place.
    Replaced,
}

/// What a window says to its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromWindow {
    /// The last [`ToWindow::Picture`] or [`ToWindow::Damage`] has been taken: the next may come.
    Seen,
    /// What the person does. It reaches the guest at once; keys held at the connection's end are let go.
    Input(Vec<Input>),
    /// Whether anybody can see the picture: no more of it comes while nobody can.
    Visible(bool),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;

    #[test]
    fn messages_are_one_line_and_come_back() {
        let damage = ToWindow::Damage(vec![Rect { x: 1, y: 2, width: 3, height: 4 }]);
        let line = serde_json::to_string(&damage).unwrap();
        assert_eq!(line, r#"{"damage":[{"x":1,"y":2,"width":3,"height":4}]}"#);
        assert_eq!(serde_json::from_str::<ToWindow>(&line).unwrap(), damage);
        for message in [FromWindow::Seen, FromWindow::Input(vec![Input::Key { key: Key::Enter, down: true }])] {
            let line = serde_json::to_string(&message).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<FromWindow>(&line).unwrap(), message);
        }
    }
}
