//! The PS/2 mouse: IBM's (IBM Personal System/2 hardware reference, "Auxiliary device interface"), with the wheel
//! of Microsoft's IntelliMouse and the five buttons of its Explorer, which a driver switches on by setting three
//! sample rates in a row.
//!
//! Movement that the guest hasn't read adds up, and what doesn't fit into a packet's nine bits goes into the
//! next; the overflow bits show only when a counter of 16 bits has run over. Between changes of the buttons the
//! movements are kept apart, so that a click isn't lost.
//!
//! Left out: the sample rate doesn't limit packets, and the resolution doesn't scale; both are kept for whoever
//! asks.

use std::collections::VecDeque;

use machine::{console::Button, saved::Bytes};

use super::saved;

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const ERROR: u8 = 0xfc;
const SELF_TEST_PASSED: u8 = 0xaa;

const SCALING_1_TO_1: u8 = 0xe6;
const SCALING_2_TO_1: u8 = 0xe7;
const SET_RESOLUTION: u8 = 0xe8;
const STATUS_REQUEST: u8 = 0xe9;
const SET_STREAM_MODE: u8 = 0xea;
const READ_DATA: u8 = 0xeb;
const RESET_WRAP_MODE: u8 = 0xec;
const SET_WRAP_MODE: u8 = 0xee;
const SET_REMOTE_MODE: u8 = 0xf0;
const IDENTIFY: u8 = 0xf2;
const SET_SAMPLE_RATE: u8 = 0xf3;
const ENABLE: u8 = 0xf4;
const DISABLE: u8 = 0xf5;
const SET_DEFAULT: u8 = 0xf6;
const RESET: u8 = 0xff;

const DEFAULT_RATE: u8 = 100;
/// Four counts a millimetre.
const DEFAULT_RESOLUTION: u8 = 2;

/// How far the counters go.
const COUNTER: i32 = 0x7fff;
/// Changes of the buttons that can wait to be read.
const REPORTS: usize = 16;
/// The longest answer: an acknowledgement and a packet.
const LONGEST_REPLY: usize = 5;

/// Which mouse it is, by the identifier that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Kind {
    /// Two or three buttons.
    Standard,
    /// With a wheel.
    IntelliMouse,
    /// With a wheel and five buttons.
    Explorer,
}

impl Kind {
    fn identifier(self) -> u8 {
        match self {
            Kind::Standard => 0,
            Kind::IntelliMouse => 3,
            Kind::Explorer => 4,
        }
    }
}

/// Movement with the same buttons down. Right, up and towards the person count as positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) wheel: i32,
    pub(super) x_overflow: bool,
    pub(super) y_overflow: bool,
    /// Bit 0 left, 1 right, 2 middle, 3 and 4 the fourth and fifth.
    pub(super) buttons: u8,
}

impl Report {
    fn add(&mut self, x: i32, y: i32, wheel: i32) {
        let sum = |counter: i32, by: i32| counter.saturating_add(by).clamp(-COUNTER, COUNTER);
        self.x_overflow |= sum(self.x, x) != self.x.saturating_add(x);
        self.y_overflow |= sum(self.y, y) != self.y.saturating_add(y);
        (self.x, self.y, self.wheel) = (sum(self.x, x), sum(self.y, y), sum(self.wheel, wheel));
    }

    fn is_still(self) -> bool {
        (self.x, self.y, self.wheel) == (0, 0, 0)
    }
}

/// The mouse.
pub(super) struct Mouse {
    kind: Kind,
    enabled: bool,
    remote: bool,
    wrap: bool,
    double_scaling: bool,
    resolution: u8,
    rate: u8,
    /// The sample rates set last, the newest at the end.
    rates: [u8; 3],
    /// The command whose parameter comes next.
    expecting: Option<u8>,
    /// The last byte from the system was no command.
    error: bool,
    replies: VecDeque<u8>,
    /// What is left of the packet that is being sent.
    packet: VecDeque<u8>,
    reports: VecDeque<Report>,
    buttons: u8,
    last_sent: u8,
}

impl Mouse {
    pub(super) fn new() -> Self {
        Mouse {
            kind: Kind::Standard,
            enabled: false,
            remote: false,
            wrap: false,
            double_scaling: false,
            resolution: DEFAULT_RESOLUTION,
            rate: DEFAULT_RATE,
            rates: [0; 3],
            expecting: None,
            error: false,
            replies: VecDeque::new(),
            packet: VecDeque::new(),
            reports: VecDeque::new(),
            buttons: 0,
            last_sent: SELF_TEST_PASSED,
        }
    }

    /// The next byte to the controller.
    pub(super) fn take(&mut self) -> Option<u8> {
        let may_report = self.enabled && !self.remote && !self.wrap && self.expecting.is_none();
        if self.replies.is_empty() && self.packet.is_empty() && may_report && !self.reports.is_empty() {
            let packet = self.next_packet(self.double_scaling);
            self.packet.extend(packet);
        }
        let byte = self.replies.pop_front().or_else(|| self.packet.pop_front())?;
        self.last_sent = byte;
        Some(byte)
    }

    /// The pointer moves: right and down are positive.
    pub(super) fn move_by(&mut self, dx: i32, dy: i32) {
        self.add(dx, dy.saturating_neg(), 0);
    }

    /// The wheel turns: away from the person is positive.
    pub(super) fn turn_wheel(&mut self, notches: i32) {
        if self.kind != Kind::Standard {
            self.add(0, 0, notches.saturating_neg());
        }
    }

    /// A button goes down or up. Gives back whether there was room for it: if too many clicks wait already, a
    /// button isn't pressed, and a release counts, but the click before may be lost.
    pub(super) fn button(&mut self, button: Button, down: bool) -> bool {
        let bit = match button {
            Button::Left => 0x01,
            Button::Right => 0x02,
            Button::Middle => 0x04,
            Button::Back => 0x08,
            Button::Forward => 0x10,
        };
        let buttons = if down { self.buttons | bit } else { self.buttons & !bit };
        let reported = self.counts() && (bit <= 0x04 || self.kind == Kind::Explorer);
        if buttons != self.buttons && reported {
            if self.reports.len() < REPORTS {
                self.reports.push_back(Report { buttons, ..Report::default() });
            } else if down {
                return false;
            } else if let Some(last) = self.reports.back_mut() {
                last.buttons = buttons;
            }
        }
        self.buttons = buttons;
        true
    }

    /// Whether movement counts at all.
    fn counts(&self) -> bool {
        (self.enabled || self.remote) && !self.wrap
    }

    fn add(&mut self, x: i32, y: i32, wheel: i32) {
        if !self.counts() || (x, y, wheel) == (0, 0, 0) {
            return;
        }
        if self.reports.is_empty() {
            self.reports.push_back(Report { buttons: self.buttons, ..Report::default() });
        }
        if let Some(last) = self.reports.back_mut() {
            last.add(x, y, wheel);
        }
    }

    /// A packet of what has been counted; what doesn't fit stays.
    fn next_packet(&mut self, double_scaling: bool) -> Vec<u8> {
        let mut report = self.reports.pop_front().unwrap_or(Report { buttons: self.buttons, ..Report::default() });
        let limit = if double_scaling { 127 } else { 255 };
        let (x, y) = (report.x.clamp(-limit, limit), report.y.clamp(-limit, limit));
        let wheel = report.wheel.clamp(-8, 7);
        report.x -= x;
        report.y -= y;
        report.wheel = if self.kind == Kind::Standard { 0 } else { report.wheel - wheel };
        let overflow = u8::from(report.x_overflow) << 6 | u8::from(report.y_overflow) << 7;
        (report.x_overflow, report.y_overflow) = (false, false);
        if !report.is_still() {
            self.reports.push_front(report);
        }
        let (x, y) = if double_scaling { (doubled(x), doubled(y)) } else { (x, y) };
        let signs = u8::from(x < 0) << 4 | u8::from(y < 0) << 5;
        let mut packet = vec![report.buttons & 7 | 0x08 | signs | overflow, x as u8, y as u8];
        match self.kind {
            Kind::Standard => {}
            Kind::IntelliMouse => packet.push(wheel as u8),
            Kind::Explorer => packet.push(wheel as u8 & 0x0f | (report.buttons & 0x18) << 1),
        }
        packet
    }

    fn clear_counters(&mut self) {
        self.reports.clear();
    }

    fn set_defaults(&mut self) {
        self.enabled = false;
        self.remote = false;
        self.double_scaling = false;
        self.resolution = DEFAULT_RESOLUTION;
        self.rate = DEFAULT_RATE;
        self.clear_counters();
    }

    /// A byte from the system. It ends the answer to the one before, and the packet under way.
    pub(super) fn write(&mut self, byte: u8) {
        if byte == RESEND && !self.wrap {
            self.replies.push_front(self.last_sent);
            self.replies.truncate(LONGEST_REPLY);
            return;
        }
        self.replies.clear();
        self.packet.clear();
        if self.wrap && ![RESET, RESET_WRAP_MODE].contains(&byte) {
            self.replies.push_back(byte);
            return;
        }
        let understood = match self.expecting.take() {
            Some(command) if byte < SCALING_1_TO_1 => self.parameter(command, byte),
            _ => self.command(byte),
        };
        if !understood {
            self.replies.push_back(if self.error { ERROR } else { RESEND });
        }
        self.error = !understood;
    }

    /// Does a command, with its answer; says whether there is such a command.
    fn command(&mut self, command: u8) -> bool {
        self.replies.push_back(ACKNOWLEDGE);
        match command {
            SCALING_1_TO_1 => self.double_scaling = false,
            SCALING_2_TO_1 => self.double_scaling = true,
            SET_RESOLUTION | SET_SAMPLE_RATE => self.expecting = Some(command),
            STATUS_REQUEST => {
                let status = self.status();
                self.replies.extend([status, self.resolution, self.rate]);
            }
            SET_STREAM_MODE => {
                self.remote = false;
                self.clear_counters();
            }
            READ_DATA => {
                let packet = self.next_packet(false);
                self.replies.extend(packet);
            }
            RESET_WRAP_MODE => self.wrap = false,
            SET_WRAP_MODE => {
                self.wrap = true;
                self.clear_counters();
            }
            SET_REMOTE_MODE => {
                self.remote = true;
                self.clear_counters();
            }
            IDENTIFY => self.replies.push_back(self.kind.identifier()),
            ENABLE => {
                self.enabled = true;
                self.clear_counters();
            }
            DISABLE => {
                self.enabled = false;
                self.clear_counters();
            }
            SET_DEFAULT => self.set_defaults(),
            RESET => {
                let buttons = self.buttons;
                *self = Mouse { buttons, ..Mouse::new() };
                self.replies.extend([ACKNOWLEDGE, SELF_TEST_PASSED, self.kind.identifier()]);
            }
            _ => {
                self.replies.clear();
                return false;
            }
        }
        true
    }

    fn parameter(&mut self, command: u8, value: u8) -> bool {
        match (command, value) {
            (SET_RESOLUTION, 0..=3) => self.resolution = value,
            (SET_SAMPLE_RATE, 1..) => {
                self.rate = value;
                self.rates = [self.rates[1], self.rates[2], value];
                match self.rates {
                    [200, 100, 80] if self.kind == Kind::Standard => self.kind = Kind::IntelliMouse,
                    [200, 200, 80] => self.kind = Kind::Explorer,
                    _ => {}
                }
            }
            _ => return false,
        }
        self.replies.push_back(ACKNOWLEDGE);
        true
    }

    /// The first byte of the answer to a status request.
    fn status(&self) -> u8 {
        let bit = |button: u8, position: u8| u8::from(self.buttons & button != 0) << position;
        let buttons = bit(0x01, 2) | bit(0x04, 1) | bit(0x02, 0);
        u8::from(self.remote) << 6 | u8::from(self.enabled) << 5 | u8::from(self.double_scaling) << 4 | buttons
    }

    pub(super) fn save(&self) -> saved::Mouse {
        let bytes = |queue: &VecDeque<u8>| Bytes(queue.iter().copied().collect());
        saved::Mouse {
            kind: self.kind,
            enabled: self.enabled,
            remote: self.remote,
            wrap: self.wrap,
            double_scaling: self.double_scaling,
            resolution: self.resolution,
            rate: self.rate,
            rates: self.rates,
            expecting: self.expecting,
            error: self.error,
            replies: bytes(&self.replies),
            packet: bytes(&self.packet),
            reports: self.reports.iter().copied().collect(),
            buttons: self.buttons,
            last_sent: self.last_sent,
        }
    }

    /// The mouse of a saved state, or what in it can't be.
    pub(super) fn restored(state: saved::Mouse) -> Result<Self, &'static str> {
        if state.replies.0.len() > LONGEST_REPLY || state.packet.0.len() > 4 || state.reports.len() > REPORTS {
            return Err("a mouse buffer that is too long");
        }
        let beyond = |counter: i32| !(-COUNTER..=COUNTER).contains(&counter);
        if state.reports.iter().any(|report| beyond(report.x) || beyond(report.y) || beyond(report.wheel)) {
            return Err("a mouse counter beyond its end");
        }
        let expecting = state.expecting.is_none_or(|command| [SET_RESOLUTION, SET_SAMPLE_RATE].contains(&command));
        if state.resolution > 3 || !expecting {
            return Err("a mouse setting that doesn't exist");
        }
        Ok(Mouse {
            kind: state.kind,
            enabled: state.enabled,
            remote: state.remote,
            wrap: state.wrap,
            double_scaling: state.double_scaling,
            resolution: state.resolution,
            rate: state.rate,
            rates: state.rates,
            expecting: state.expecting,
            error: state.error,
            replies: state.replies.0.into(),
            packet: state.packet.0.into(),
            reports: state.reports.into(),
            buttons: state.buttons & 0x1f,
            last_sent: state.last_sent,
        })
    }
}

/// 2:1 scaling of a count.
fn doubled(count: i32) -> i32 {
    let scaled = match count.abs() {
        0 => 0,
        1 | 2 => 1,
        3 => 3,
        4 => 6,
        5 => 9,
        more => 2 * more,
    };
    scaled * count.signum()
}
