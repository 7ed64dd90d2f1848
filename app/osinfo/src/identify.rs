//! Which system a disc holds, by its labels.

use std::cmp::Reverse;

use regex::RegexBuilder;

use crate::{Database, Medium, System, literal};

/// The longest pattern that is compiled, in bytes; the database's have less than 100.
const MAX_PATTERN: usize = 1000;
/// The most memory that a compiled pattern takes, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// What a disc says of itself (ECMA-119, section 8.4), without the blanks at the ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Volume identifier: the disc's name.
    pub volume: String,
    /// System identifier: what can use its system area.
    pub system: String,
    /// Publisher identifier.
    pub publisher: String,
    /// Application identifier.
    pub application: String,
    /// The size of the volume, in bytes.
    pub volume_bytes: u64,
}

/// A system, and the rule by which it was recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified<'a> {
    /// The system.
    pub system: &'a System,
    /// The rule.
    pub medium: &'a Medium,
}

/// A rule's pattern can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// It is none, or one of a kind that we have no use for: looking around, references.
    #[error("the pattern '{pattern}' can't be used")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: Box<regex::Error>,
    },
    /// It is far longer than any of the database's.
    #[error("a pattern has {0} bytes, which is more than {MAX_PATTERN}")]
    Long(usize),
}

impl Medium {
    /// The patterns, each with the label that it is for.
    pub(crate) fn patterns<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = (&'a str, &'a str)> {
        [
            (&self.volume_id, &labels.volume),
            (&self.system_id, &labels.system),
            (&self.publisher_id, &labels.publisher),
            (&self.application_id, &labels.application),
        ]
        .into_iter()
        .filter_map(|(pattern, label)| Some((pattern.as_deref()?, label.as_str())))
    }

    /// How many labels the rule asks for. One that asks for none fits no disc.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.patterns(&Labels::default()).count() + usize::from(self.volume_bytes.is_some())
    }

    /// Whether a disc with these labels is one.
    ///
    /// # Errors
    /// A pattern can't be used.
    pub fn matches(&self, labels: &Labels) -> Result<bool, RuleError> {
        if self.rules() == 0 || self.volume_bytes.is_some_and(|bytes| bytes != labels.volume_bytes) {
            return Ok(false);
        }
        // What is cheap first: nearly every rule ends here.
        if !self.patterns(labels).all(|(pattern, label)| label.contains(&literal::required(pattern))) {
            return Ok(false);
        }
        for (pattern, label) in self.patterns(labels) {
            if !compile(pattern)?.is_match(label) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether every pattern can be used.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check(&self) -> Result<(), RuleError> {
        self.patterns(&Labels::default()).try_for_each(|(pattern, _)| compile(pattern).map(|_| ()))
    }
}

pub(crate) fn compile(pattern: &str) -> Result<regex::Regex, RuleError> {
    if pattern.len() > MAX_PATTERN {
        return Err(RuleError::Long(pattern.len()));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|source| RuleError::Pattern { pattern: pattern.to_owned(), source: Box::new(source) })
}

impl Database {
    /// The systems that have a disc with these labels: the one that it is most likely first, each once. Where labels can't
    /// tell systems apart, the newer one comes first; what stands for unknown releases comes last.
    #[must_use]
    pub fn identify(&self, labels: &Labels) -> Vec<Identified<'_>> {
        let mut found: Vec<Identified<'_>> = Vec::new();
        for (system, medium) in self.rules() {
            match medium.matches(labels) {
                Ok(true) => found.push(Identified { system, medium }),
                Ok(false) => {}
                Err(error) => warn(system, &error),
            }
        }
        found.sort_by_key(|one| {
            (
                one.system.is_unknown_release(),
                Reverse(one.medium.rules()),
                // One disc for several processors; and of several discs that of a PC.
                one.medium.arch != "x86_64",
                Reverse(one.system.release_date),
            )
        });
        let mut seen: Vec<&str> = Vec::new();
        found.retain(|one| {
            let new = !seen.contains(&one.system.id.as_str());
            seen.push(&one.system.id);
            new
        });
        found
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = (&System, &Medium)> {
        self.systems().iter().flat_map(|system| system.media.iter().map(move |medium| (system, medium)))
    }

    /// The rules that can't be used, with the ids of their systems. Compiles every pattern, which takes a while.
    #[must_use]
    pub fn unusable_rules(&self) -> Vec<(&str, RuleError)> {
        self.rules().filter_map(|(system, medium)| Some((system.id.as_str(), medium.check().err()?))).collect()
    }
}

/// Says that a rule is left out.
pub(crate) fn warn(system: &System, error: &RuleError) {
    tracing::warn!(system = system.id, %error, "a rule of the osinfo database is left out");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn medium(volume: &str) -> Medium {
        Medium { arch: "x86_64".into(), volume_id: Some(volume.into()), ..Medium::default() }
    }

    fn system(id: &str, released: &str, media: Vec<Medium>) -> System {
        System { id: id.into(), release_date: released.parse().ok(), media, ..System::default() }
    }

    fn ids(database: &Database, volume: &str) -> Vec<String> {
        let labels = Labels { volume: volume.into(), publisher: "ME".into(), ..Labels::default() };
        database.identify(&labels).iter().map(|one| one.system.id.clone()).collect()
    }

    #[test]
    fn the_most_particular_rule_of_the_newest_system_comes_first() {
        let by_publisher = Medium { publisher_id: Some("ME".into()), ..medium("^TEN") };
        let by_another = Medium { publisher_id: Some("YOU".into()), ..medium("^TEN") };
        let arm = Medium { arch: "aarch64".into(), ..medium("^TEN") };
        let database = Database::of([
            system("old", "2001-01-01", vec![medium("^TEN")]),
            system("new", "2011-01-01", vec![medium("TEN"), medium("TEN$")]),
            system("particular", "1991-01-01", vec![by_publisher]),
            system("other", "2021-01-01", vec![by_another]),
            system("x/unknown", "", vec![medium("TEN")]),
            system("arm", "2022-01-01", vec![arm]),
        ]);
        assert_eq!(ids(&database, "TEN"), ["particular", "new", "old", "arm", "x/unknown"]);
        assert_eq!(ids(&database, "ELEVEN"), Vec::<String>::new());
    }

    #[test]
    fn a_rule_without_labels_fits_nothing_and_a_size_must_be_exact() {
        let sized = Medium { volume_bytes: Some(2048), ..medium("A") };
        assert!(!Medium::default().matches(&Labels::default()).unwrap());
        let labels = |volume_bytes| Labels { volume: "A".into(), volume_bytes, ..Labels::default() };
        assert!(sized.matches(&labels(2048)).unwrap() && !sized.matches(&labels(2049)).unwrap());
    }

    #[test]
    fn a_pattern_that_cant_be_used_is_left_out() {
        let database = Database::of([
            system("bad", "", vec![medium("A(?!B)")]),
            system("long", "", vec![medium(&"(A|B)".repeat(500))]),
            system("huge", "", vec![medium("A{1000}{1000}")]),
            system("good", "", vec![medium("A")]),
        ]);
        assert_eq!(ids(&database, "A"), ["good"]);
        assert_eq!(database.unusable_rules().iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["bad", "long", "huge"]);
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_label_make_it_panic(pattern in ".{0,30}", volume in ".{0,32}") {
            let _ = medium(&pattern).matches(&Labels { volume, ..Labels::default() });
        }
    }
}
