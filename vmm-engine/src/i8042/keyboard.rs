//! The PS/2 keyboard: IBM's enhanced keyboard with the keys that came later (IBM Personal System/2 hardware
//! reference, "Keyboard (101- and 102-key)").
//!
//! It doesn't repeat keys by itself: the person's keyboard does, and each further "down" of a key that is down
//! sends its code again. The typematic rate is kept for whoever asks, and does nothing.
//!
//! A repeated key that finds the buffer full leaves the overrun code in it. A newly pressed one is refused without,
//! so that whoever types a text can try again.
//!
//! Left out: the half second of the self-test (its result comes at once), and the result that a keyboard sends
//! unasked after power-on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use machine::{keys::Key, saved::Bytes};

use super::{
    saved,
    scancodes::{self, KeyType, Modifiers, RELEASE, ScanSet},
};

/// The buffer's length, in bytes; the overrun code gets a place of its own.
const BUFFER: usize = 16;

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
const ECHO: u8 = 0xee;
const IDENTIFIER: [u8; 2] = [0xab, 0x83];
/// The lowest command. What is below is a command's parameter.
const FIRST_COMMAND: u8 = 0xed;

const SET_LEDS: u8 = 0xed;
const SET_SCAN_SET: u8 = 0xf0;
const IDENTIFY: u8 = 0xf2;
const SET_TYPEMATIC: u8 = 0xf3;
const ENABLE: u8 = 0xf4;
const DISABLE_DEFAULT: u8 = 0xf5;
const SET_DEFAULT: u8 = 0xf6;
const ALL_TYPEMATIC: u8 = 0xf7;
const ALL_MAKE_BREAK: u8 = 0xf8;
const ALL_MAKE: u8 = 0xf9;
const ALL_TYPEMATIC_MAKE_BREAK: u8 = 0xfa;
const KEY_TYPEMATIC: u8 = 0xfb;
const KEY_MAKE_BREAK: u8 = 0xfc;
const KEY_MAKE: u8 = 0xfd;
const RESET: u8 = 0xff;

/// 10.9 characters a second after half a second.
const DEFAULT_TYPEMATIC: u8 = 0x2b;

/// The keyboard's lamps, as the guest has set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leds {
    /// Scroll Lock.
    pub scroll: bool,
    /// Num Lock.
    pub num: bool,
    /// Caps Lock.
    pub caps: bool,
}

/// The keyboard.
pub(super) struct Keyboard {
    scanning: bool,
    set: ScanSet,
    /// Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock.
    leds: u8,
    typematic: u8,
    /// Types of keys, by their codes of set 3, where they aren't the default's.
    key_types: BTreeMap<u8, KeyType>,
    /// The command whose parameter comes next.
    expecting: Option<u8>,
    /// Answers to the last command: they come before what is in the buffer.
    replies: VecDeque<u8>,
    buffer: VecDeque<u8>,
    last_sent: u8,
    down: BTreeSet<Key>,
    /// Print Screen is down as SysRq.
    sys_rq: bool,
    /// Keys that went up when the buffer had no room for it: a key must not seem down for ever.
    owed_releases: VecDeque<Key>,
}

impl Keyboard {
    pub(super) fn new() -> Self {
        Keyboard {
            scanning: true,
            set: ScanSet::Two,
            leds: 0,
            typematic: DEFAULT_TYPEMATIC,
            key_types: BTreeMap::new(),
            expecting: None,
            replies: VecDeque::new(),
            buffer: VecDeque::with_capacity(BUFFER + 1),
            last_sent: SELF_TEST_PASSED,
            down: BTreeSet::new(),
            sys_rq: false,
            owed_releases: VecDeque::new(),
        }
    }

    pub(super) fn leds(&self) -> Leds {
        Leds { scroll: self.leds & 1 != 0, num: self.leds & 2 != 0, caps: self.leds & 4 != 0 }
    }

    /// Everything that was typed has been read.
    pub(super) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.owed_releases.is_empty()
    }

    /// The next byte to the controller.
    pub(super) fn take(&mut self) -> Option<u8> {
        let byte = match self.replies.pop_front() {
            Some(reply) => reply,
            // Between a command and its parameter, no keys are sent.
            None if self.expecting.is_some_and(is_one_parameter) => return None,
            None => self.buffer.pop_front()?,
        };
        self.last_sent = byte;
        self.pay_releases();
        Some(byte)
    }

    /// A key goes down (again, when it repeats) or up. Gives back whether there was room for it.
    pub(super) fn key(&mut self, key: Key, down: bool) -> bool {
        match (down, self.down.contains(&key)) {
            (true, false) => self.press(key),
            (true, true) => self.repeat(key),
            (false, true) => {
                self.release(key);
                true
            }
            (false, false) => true,
        }
    }

    /// A key that finds no room isn't pressed: who types a text tries again, and the guest isn't told of a
    /// release without a press.
    fn press(&mut self, key: Key) -> bool {
        let sys_rq = match key {
            Key::PrintScreen => self.down.contains(&Key::AltLeft) || self.down.contains(&Key::AltRight),
            _ => self.sys_rq,
        };
        if self.scanning {
            let sequence = self.sequence(key, true, sys_rq);
            if !self.has_room_for(&sequence) {
                return false;
            }
            // To the guest it is still down.
            self.owed_releases.retain(|&owed| owed != key);
            self.buffer.extend(sequence);
        }
        self.sys_rq = sys_rq;
        self.down.insert(key);
        true
    }

    fn repeat(&mut self, key: Key) -> bool {
        if !self.scanning || !self.repeats(key) {
            return true;
        }
        let sequence = self.sequence(key, true, self.sys_rq);
        let has_room = self.has_room_for(&sequence);
        if has_room {
            self.buffer.extend(sequence);
        } else {
            self.overrun();
        }
        has_room
    }

    /// A release that finds no room follows when there is.
    fn release(&mut self, key: Key) {
        self.down.remove(&key);
        if self.scanning {
            self.owed_releases.push_back(key);
            self.pay_releases();
        }
    }

    fn has_room_for(&self, sequence: &[u8]) -> bool {
        self.buffer.len() + sequence.len() <= BUFFER
    }

    fn repeats(&self, key: Key) -> bool {
        match self.set {
            ScanSet::Three => scancodes::set_3(key).is_some_and(|code| self.key_type(code).repeats()),
            ScanSet::One | ScanSet::Two => key != Key::Pause,
        }
    }

    fn key_type(&self, code: u8) -> KeyType {
        self.key_types.get(&code).copied().unwrap_or_else(|| scancodes::default_type(code))
    }

    fn sequence(&self, key: Key, down: bool, sys_rq: bool) -> Vec<u8> {
        if self.set != ScanSet::Three {
            return scancodes::sequence(self.set, key, down, self.modifiers(), sys_rq);
        }
        match scancodes::set_3(key) {
            Some(code) if down => vec![code],
            Some(code) if self.key_type(code).tells_release() => vec![RELEASE, code],
            _ => Vec::new(),
        }
    }

    fn modifiers(&self) -> Modifiers {
        let down = |key| self.down.contains(&key);
        Modifiers {
            shift_left: down(Key::ShiftLeft),
            shift_right: down(Key::ShiftRight),
            control: down(Key::ControlLeft) || down(Key::ControlRight),
            num_lock: self.leds().num,
        }
    }

    fn overrun(&mut self) {
        let code = if self.set == ScanSet::One { 0xff } else { 0x00 };
        if self.buffer.len() <= BUFFER && self.buffer.back() != Some(&code) {
            self.buffer.push_back(code);
        }
    }

    /// Sends the releases that had no room, as far as there is room now.
    fn pay_releases(&mut self) {
        while let Some(&key) = self.owed_releases.front() {
            let sequence = self.sequence(key, false, self.sys_rq);
            if !self.has_room_for(&sequence) {
                return;
            }
            self.buffer.extend(sequence);
            self.owed_releases.pop_front();
        }
    }

    fn clear_buffer(&mut self) {
        self.buffer.clear();
        self.owed_releases.clear();
    }

    fn set_defaults(&mut self) {
        self.set = ScanSet::Two;
        self.typematic = DEFAULT_TYPEMATIC;
        self.key_types.clear();
    }

    /// A byte from the system. It ends the answer to the one before.
    pub(super) fn write(&mut self, byte: u8) {
        let expecting = self.expecting.take();
        if byte == RESEND {
            self.expecting = expecting;
            self.replies.push_front(self.last_sent);
            self.replies.truncate(4);
            return;
        }
        self.replies.clear();
        match expecting {
            Some(command) if byte < FIRST_COMMAND => self.parameter(command, byte),
            _ => self.command(byte),
        }
    }

    fn command(&mut self, command: u8) {
        match command {
            ECHO => {
                self.replies.push_back(ECHO);
                return;
            }
            SET_LEDS | SET_TYPEMATIC => self.expecting = Some(command),
            SET_SCAN_SET | KEY_TYPEMATIC | KEY_MAKE_BREAK | KEY_MAKE => {
                self.clear_buffer();
                self.expecting = Some(command);
            }
            IDENTIFY => {}
            ENABLE => {
                self.clear_buffer();
                self.scanning = true;
            }
            DISABLE_DEFAULT | SET_DEFAULT => {
                self.clear_buffer();
                self.set_defaults();
                self.scanning = command == SET_DEFAULT;
            }
            ALL_TYPEMATIC => self.set_all(KeyType::Typematic),
            ALL_MAKE_BREAK => self.set_all(KeyType::MakeBreak),
            ALL_MAKE => self.set_all(KeyType::Make),
            ALL_TYPEMATIC_MAKE_BREAK => self.set_all(KeyType::TypematicMakeBreak),
            RESET => {
                *self = Keyboard::new();
                self.replies.extend([ACKNOWLEDGE, SELF_TEST_PASSED]);
                return;
            }
            _ => {
                self.replies.push_back(RESEND);
                return;
            }
        }
        self.replies.push_back(ACKNOWLEDGE);
        if command == IDENTIFY {
            self.replies.extend(IDENTIFIER);
        }
    }

    fn set_all(&mut self, key_type: KeyType) {
        self.clear_buffer();
        self.key_types = (0..=0xff).map(|code| (code, key_type)).collect();
    }

    fn parameter(&mut self, command: u8, value: u8) {
        match (command, value) {
            (SET_LEDS, _) => self.leds = value & 7,
            (SET_TYPEMATIC, 0..0x80) => self.typematic = value,
            (SET_SCAN_SET, 0) => {
                let number = self.set as u8 + 1;
                self.replies.extend([ACKNOWLEDGE, number]);
                return;
            }
            (SET_SCAN_SET, 1) => self.set = ScanSet::One,
            (SET_SCAN_SET, 2) => self.set = ScanSet::Two,
            (SET_SCAN_SET, 3) => self.set = ScanSet::Three,
            (KEY_TYPEMATIC | KEY_MAKE_BREAK | KEY_MAKE, _) => {
                let key_type = match command {
                    KEY_TYPEMATIC => KeyType::Typematic,
                    KEY_MAKE_BREAK => KeyType::MakeBreak,
                    _ => KeyType::Make,
                };
                self.key_types.insert(value, key_type);
                // More keys may follow, until the next command.
                self.expecting = Some(command);
            }
            _ => {
                self.replies.push_back(RESEND);
                return;
            }
        }
        self.replies.push_back(ACKNOWLEDGE);
    }

    pub(super) fn save(&self) -> saved::Keyboard {
        let bytes = |queue: &VecDeque<u8>| Bytes(queue.iter().copied().collect());
        saved::Keyboard {
            scanning: self.scanning,
            set: self.set,
            leds: self.leds,
            typematic: self.typematic,
            key_types: self.key_types.clone(),
            expecting: self.expecting,
            replies: bytes(&self.replies),
            buffer: bytes(&self.buffer),
            last_sent: self.last_sent,
            down: self.down.iter().copied().collect(),
            sys_rq: self.sys_rq,
            owed_releases: self.owed_releases.iter().copied().collect(),
        }
    }

    /// The keyboard of a saved state, or what in it can't be.
    pub(super) fn restored(state: saved::Keyboard) -> Result<Self, &'static str> {
        if state.buffer.0.len() > BUFFER + 1 || state.replies.0.len() > 4 {
            return Err("a keyboard buffer that is too long");
        }
        if state.owed_releases.len() > Key::ALL.len() || state.down.len() > Key::ALL.len() {
            return Err("more keys than a keyboard has");
        }
        if state.leds > 7 || state.typematic > 0x7f || state.expecting.is_some_and(|command| !takes_parameter(command))
        {
            return Err("a keyboard setting that doesn't exist");
        }
        Ok(Keyboard {
            scanning: state.scanning,
            set: state.set,
            leds: state.leds,
            typematic: state.typematic,
            key_types: state.key_types,
            expecting: state.expecting,
            replies: state.replies.0.into(),
            buffer: state.buffer.0.into(),
            last_sent: state.last_sent,
            down: state.down.into_iter().collect(),
            sys_rq: state.sys_rq,
            owed_releases: state.owed_releases.into(),
        })
    }
}

fn takes_parameter(command: u8) -> bool {
    is_one_parameter(command) || matches!(command, KEY_TYPEMATIC | KEY_MAKE_BREAK | KEY_MAKE)
}

/// Exactly one parameter must follow the command.
fn is_one_parameter(command: u8) -> bool {
    matches!(command, SET_LEDS | SET_SCAN_SET | SET_TYPEMATIC)
}
