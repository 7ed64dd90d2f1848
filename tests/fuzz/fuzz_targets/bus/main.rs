//! The PC's board with all its devices, under a hostile guest and a restless person.
//!
//! Nothing panics, hangs or grows; a picture that was drawn change by change is the one that is drawn at once; a machine
//! that was saved and restored is the same, and goes on as the first would: from then on both get each action, and what
//! they show is compared.
#![no_main]

mod actions;
mod drivers;
mod machine;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use self::{
    actions::{Action, Input, apply},
    machine::Machine,
};

/// Actions of one input, and how many of them may be slow by themselves.
const ACTIONS: usize = 100;
const SLOW_ACTIONS: usize = 6;

/// Whether to tell what an input does.
static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("TANDEM_FUZZ_TELL").is_some());

/// The first two bytes of an input say what was done before it, how the drives work, and whether the end is copied.
fn run(mut input: Input<'_>) {
    let (unprepared, how) = (input.byte(), input.byte());
    let mut machine = Machine::new(how & 1 == 0);
    let mut twin: Option<Machine> = None;
    drivers::prepare(&machine, unprepared ^ drivers::USUAL);
    machine.settle();
    let mut slow = 0;
    for _ in 0..ACTIONS {
        if input.is_empty() {
            break;
        }
        let action = Action::decode(&mut input);
        slow += usize::from(action.is_slow());
        if action.is_slow() && slow > SLOW_ACTIONS {
            continue;
        }
        if *TOLD {
            eprintln!("{action:x?}");
        }
        match action {
            Action::Copy => {
                let copy = machine.copy();
                machine.settle();
                copy.settle();
                twin = machine.is_serial.then_some(copy);
            }
            Action::Damage { device, at, value, removes } => {
                // Saving pauses the machine, so the other pauses, too.
                damaged(&machine, device, at, value, removes);
                machine.settle();
                if let Some(twin) = &twin {
                    twin.pause();
                    twin.settle();
                }
            }
            action => {
                let seen = apply(&action, &mut machine);
                machine.settle();
                if let Some(twin) = &mut twin {
                    assert!(apply(&action, twin) == seen, "a restored machine answers otherwise to {action:x?}");
                    twin.settle();
                    machine.assert_same_outside(twin);
                }
            }
        }
    }
    let last = match twin {
        None if how & 6 == 0 => {
            let copy = machine.copy();
            machine.settle();
            copy.settle();
            Some(copy)
        }
        twin => twin,
    };
    if let Some(copy) = last.filter(|_| machine.is_serial) {
        machine.assert_same(&copy);
    }
}

/// A damaged saved state is refused, or makes a machine that goes on somehow.
fn damaged(machine: &Machine, device: u8, at: u16, value: u8, removes: bool) {
    let other = machine.survive(|units| {
        let device = usize::from(device) % units.len();
        let bytes = units.values_mut().nth(device).map(|unit| &mut unit.data.0);
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            let at = usize::from(at) % bytes.len();
            if removes {
                bytes.remove(at);
            } else {
                bytes[at] = value;
            }
        }
    });
    if let Some(mut other) = other {
        other.settle();
        other.draw(true);
        other.advance(std::time::Duration::from_secs(1));
        for port in (0x60..=0x77).chain(0x3b0..=0x3ff).chain(0x510..=0x51b) {
            let value = other.port_read(port, 1);
            other.port_write(port, 1, value);
        }
        other.settle();
        other.board.stop();
        assert!(other.board.save().is_ok());
    }
}

fuzz_target!(|input: &[u8]| {
    run(Input(input));
});
