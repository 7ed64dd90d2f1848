//! The debug console: a port to which firmware writes characters (Bochs' port 0xe9, and QEMU's `isa-debugcon`
//! at 0x402, where SeaBIOS and OVMF look for it). Lines go to a log.

use machine::{
    component::Component,
    device::{Device, PortIo},
    saved::{Bytes, RestoreError, SaveError, SavedState, SavedUnit},
};

/// The ports: region number, port, length.
pub const PORTS: [(u8, u16, u16); 2] = [(0, 0x402, 1), (1, 0xe9, 1)];

/// What a read gives: by that, a guest knows that the console is there.
const READBACK: u8 = 0xe9;
/// A line that gets longer goes to the log in pieces, in bytes.
const LONGEST_LINE: usize = 512;

/// Where lines go, without their line ends. It is called with the device's lock held and must not wait; how
/// much of the guest's talk is kept is its affair.
pub type LineSink = Box<dyn FnMut(&str) + Send>;

/// The debug console.
pub struct DebugConsole {
    sink: LineSink,
    line: Vec<u8>,
}

impl DebugConsole {
    /// A console whose lines go to `sink`.
    #[must_use]
    pub fn new(sink: LineSink) -> Self {
        DebugConsole { sink, line: Vec::new() }
    }

    fn put(&mut self, byte: u8) {
        match byte {
            b'\n' => self.flush(),
            b'\r' => {}
            _ => {
                self.line.push(byte);
                if self.line.len() >= LONGEST_LINE {
                    self.flush();
                }
            }
        }
    }

    /// Hands the line over. Control characters are written out: a guest's text ends up in terminals.
    fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let mut text = String::with_capacity(bytes.len());
        for character in String::from_utf8_lossy(&bytes).chars() {
            if character.is_control() && character != '\t' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        (self.sink)(&text);
    }
}

impl PortIo for DebugConsole {
    fn port_read(&mut self, _region: u8, _offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        data[0] = READBACK;
    }

    fn port_write(&mut self, _region: u8, _offset: u16, data: &[u8]) {
        self.put(data[0]);
    }
}

mod saved {
    use super::{Bytes, SavedState};

    /// The line that hasn't ended yet.
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct DebugConsole {
        pub(super) line: Bytes,
    }

    impl SavedState for DebugConsole {
        const KIND: &'static str = "debugcon";
        const VERSION: u32 = 1;
    }
}

impl Component for DebugConsole {
    fn name(&self) -> &str {
        "debugcon"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        if !self.line.is_empty() {
            self.flush();
        }
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::DebugConsole { line: Bytes(self.line.clone()) })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::DebugConsole = unit.open()?;
        if state.line.0.len() >= LONGEST_LINE {
            let what = "a line that would have gone to the log".to_owned();
            return Err(RestoreError::Impossible { kind: <saved::DebugConsole as SavedState>::KIND, what });
        }
        self.line = state.line.0;
        Ok(())
    }
}

impl Device for DebugConsole {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use machine::device_contract;
    use parking_lot::Mutex;

    use super::*;

    device_contract!(
        contract,
        DebugConsole::new(Box::new(|_| {})),
        &[Region::Port { region: 0, len: 1 }, Region::Port { region: 1, len: 1 }]
    );

    fn console() -> (DebugConsole, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = lines.clone();
        (DebugConsole::new(Box::new(move |line| log.lock().push(line.to_owned()))), lines)
    }

    fn write(console: &mut DebugConsole, text: &[u8]) {
        text.iter().for_each(|&byte| console.port_write(0, 0, &[byte]));
    }

    #[test]
    fn both_ports_say_that_they_are_there() {
        let (mut console, _) = console();
        let mut data = [[0; 1], [0; 1]];
        console.port_read(0, 0, &mut data[0]);
        console.port_read(1, 0, &mut data[1]);
        assert_eq!(data, [[0xe9], [0xe9]]);
    }

    #[test]
    fn lines_go_to_the_log() {
        let (mut console, lines) = console();
        write(&mut console, b"SeaBIOS (version 1)\r\n\nRun");
        assert_eq!(*lines.lock(), ["SeaBIOS (version 1)", ""]);
        console.reset();
        assert_eq!(lines.lock()[2], "Run");
    }

    #[test]
    fn a_line_without_an_end_goes_to_the_log_in_pieces() {
        let (mut console, lines) = console();
        write(&mut console, &[b'x'; 1300]);
        assert_eq!(lines.lock().iter().map(String::len).collect::<Vec<_>>(), [512, 512]);
    }

    #[test]
    fn control_characters_are_written_out() {
        let (mut console, lines) = console();
        write(&mut console, b"\x1b[2Jtab\there \xff\n");
        assert_eq!(*lines.lock(), ["\\u{1b}[2Jtab\there \u{fffd}"]);
    }

    #[test]
    fn a_line_may_be_saved_halfway() {
        let (mut first, _) = console();
        write(&mut first, b"half ");
        let (mut second, lines) = console();
        second.restore(&first.save().unwrap()).unwrap();
        write(&mut second, b"a line\n");
        assert_eq!(*lines.lock(), ["half a line"]);
    }
}
