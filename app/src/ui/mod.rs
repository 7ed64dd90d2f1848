//! What the manager's window and a machine's window have in common.

pub(crate) mod files;
pub(crate) mod form;
pub(crate) mod shell;
pub(crate) mod tasks;
pub(crate) mod theme;
pub(crate) mod toasts;
