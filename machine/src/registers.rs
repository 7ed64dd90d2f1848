//! What a machine's processors and interrupt controllers hold at one moment: for those who ask why a guest stands still.

use serde::{Deserialize, Serialize};

/// The registers of one processor or chip, by name, in the order in which a person reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// What they are of: `"vcpu0"`, `"apic0"`, `"pic0"`, `"ioapic"`, `"pit"`.
    pub name: String,
    /// Names and values. Numbers are hexadecimal, with `0x`.
    pub values: Vec<(String, String)>,
}

impl Bank {
    /// An empty one.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Bank { name: name.into(), values: Vec::new() }
    }

    /// With one more value, in words.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.values.push((name.into(), value.to_string()));
        self
    }

    /// With one more value, a number.
    #[must_use]
    pub fn with_number(self, name: impl Into<String>, value: impl Into<u64>) -> Self {
        self.with(name, format_args!("{:#x}", value.into()))
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
