//! Keys and mouse movement that are sent to a machine's console, as many as the guest takes.

use anyhow::{Result, bail};
use machine::{
    console::Input,
    control::{Reply, Request},
};

use crate::client::Client;

/// How many are sent before the guest is waited for.
const AT_ONCE: usize = 16;

/// Does all of `inputs` at the console of `machine`, a few at a time: each is answered when the guest has taken it.
///
/// # Errors
/// The machine doesn't answer, or its guest doesn't take them: the sentence says how many arrived.
pub(crate) fn send(client: &mut Client, machine: &str, inputs: &[Input]) -> Result<()> {
    for (number, some) in inputs.chunks(AT_ONCE).enumerate() {
        match client.ask_patiently(Request::Input(some.to_vec()))? {
            Reply::Done => {}
            Reply::Untaken { taken, waiting } => {
                bail!("{}", untaken(machine, inputs, number * AT_ONCE + taken, waiting))
            }
            reply => bail!("an unexpected answer: {reply:?}"),
        }
    }
    Ok(())
}

/// Says what became of `inputs` of which the guest took the first `taken`, while another is `waiting`.
fn untaken(machine: &str, inputs: &[Input], taken: usize, waiting: bool) -> String {
    let presses =
        |inputs: &[Input]| inputs.iter().filter(|input| matches!(input, Input::Key { down: true, .. })).count();
    let (all, arrived) = (presses(inputs), presses(&inputs[..taken.min(inputs.len())]));
    if all == 0 {
        return format!("the guest of '{machine}' doesn't read its mouse: {taken} of {} events arrived", inputs.len());
    }
    let waits = waiting && matches!(inputs.get(taken), Some(Input::Key { down: true, .. }));
    let rest = if waits { "; the next one waits in its keyboard" } else { "" };
    format!("the guest of '{machine}' doesn't read its keyboard: {arrived} of {all} key presses arrived{rest}")
}

#[cfg(test)]
mod tests {
    use machine::console::Button;

    use super::*;

    #[test]
    fn what_the_guest_left_is_told_in_key_presses() {
        let keys = display::typing::inputs(&display::typing::strokes("abC").unwrap());
        let said = untaken("g", &keys, 4, true);
        assert_eq!(
            said,
            "the guest of 'g' doesn't read its keyboard: 2 of 4 key presses arrived; the next one waits in its keyboard"
        );
        assert!(untaken("g", &keys, 0, false).ends_with(": 0 of 4 key presses arrived"));
        // Only its release is left: nothing more is pressed.
        assert!(untaken("g", &keys, 1, true).ends_with(": 1 of 4 key presses arrived"));
        let click = [true, false].map(|down| Input::Button { button: Button::Left, down });
        assert!(untaken("g", &click, 1, false).ends_with(": 1 of 2 events arrived"));
    }
}
