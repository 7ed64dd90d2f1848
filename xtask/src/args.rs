//! Reading a command line: flags and options anywhere, then what is left.

use std::collections::VecDeque;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// What is left of a command line.
pub(crate) struct Args {
    words: VecDeque<String>,
    /// The words after `--`, which no option is looked for in.
    command: Option<Vec<String>>,
}

impl Args {
    /// This process's arguments.
    pub(crate) fn from_environment() -> Self {
        Self::new(std::env::args().skip(1))
    }

    fn new(words: impl IntoIterator<Item = String>) -> Self {
        let mut words: VecDeque<String> = words.into_iter().collect();
        let command = words.iter().position(|word| word == "--").map(|at| words.drain(at..).skip(1).collect());
        Self { words, command }
    }

    /// Takes the first word.
    pub(crate) fn subcommand(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// Takes a flag, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| word == name);
        at.is_some_and(|at| self.words.remove(at).is_some())
    }

    /// Takes an option with its value, given as two words or as `NAME=VALUE`.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let assigned = format!("{name}=");
        let Some(at) = self.words.iter().position(|word| word == name || word.starts_with(&assigned)) else {
            return Ok(None);
        };
        let word = self.words.remove(at).unwrap_or_default();
        let value = match word.strip_prefix(&assigned) {
            Some(value) => value.to_owned(),
            None => self.words.remove(at).with_context(|| format!("{name} needs a value"))?,
        };
        value.parse().map(Some).with_context(|| format!("{name} {value}"))
    }

    /// The words after `--`.
    pub(crate) fn command(&mut self) -> Option<Vec<String>> {
        self.command.take()
    }

    /// Takes the words that are left; none of them may look like an option.
    pub(crate) fn rest(self) -> Result<Vec<String>> {
        match self.words.iter().find(|word| word.starts_with('-')) {
            Some(unknown) => bail!("there is no option {unknown}"),
            None if self.command.is_some() => bail!("nothing is expected after --"),
            None => Ok(self.words.into()),
        }
    }

    /// Fails if a word is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.rest()?.first() {
            Some(word) => bail!("{word:?} is not expected here"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_found_in_either_spelling() {
        let mut args = args("lab --cpus 3 --memory=512 -v -- ls --cpus 9");
        assert_eq!(args.subcommand().as_deref(), Some("lab"));
        assert_eq!(args.option::<u32>("--cpus").unwrap(), Some(3));
        assert_eq!(args.option::<u32>("--memory").unwrap(), Some(512));
        assert_eq!(args.option::<u32>("--timeout").unwrap(), None);
        assert!(args.flag("-v"));
        assert_eq!(args.command().unwrap(), ["ls", "--cpus", "9"]);
        args.finish().unwrap();
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(args("--colour").rest().is_err());
        assert!(args("--cpus").option::<u32>("--cpus").is_err());
        assert!(args("--cpus many").option::<u32>("--cpus").is_err());
    }
}
