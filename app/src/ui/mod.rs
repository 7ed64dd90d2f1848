//! What the manager's window and a machine's window have in common.

mod every_key;
pub(crate) mod files;
pub(crate) mod form;
#[cfg(test)]
pub(crate) mod paper;
pub(crate) mod shell;
pub(crate) mod tasks;
pub(crate) mod theme;
pub(crate) mod toasts;
