//! What is wrong with a definition, said so that a person can put it right.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1, if there is a file.
    pub line: Option<usize>,
    /// Which setting: `memory`, `disks[0].images[1].format`; empty for the file as a whole.
    pub key: String,
    /// What is wrong with it and what would be right: a sentence that names the setting.
    pub message: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { line: None, key: key.into(), message: message.into() }
    }
}

/// `line 7: memory = '2X' is not a size.`
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        formatter.write_str(&self.message)
    }
}

/// A definition can't be used. Shown as one line: the first problem, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("machine.toml, {}{}", self.first(), self.rest())]
pub struct DefinitionError {
    problems: Vec<Problem>,
}

impl DefinitionError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        DefinitionError { problems }
    }

    /// The same, about a definition that has no file.
    #[must_use]
    pub fn without_lines(mut self) -> Self {
        for problem in &mut self.problems {
            problem.line = None;
        }
        self
    }

    /// Every problem, in the order of the lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn first(&self) -> String {
        self.problems.first().map(Problem::to_string).unwrap_or_default()
    }

    fn rest(&self) -> String {
        match self.problems.len() {
            0 | 1 => String::new(),
            2 => " (and 1 more problem)".to_owned(),
            more => format!(" (and {} more problems)", more - 1),
        }
    }
}
