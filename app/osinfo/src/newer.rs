//! Releases that are newer than the database.
//!
//! A distribution's package of the database is as old as the distribution, and people install what was released since. The
//! discs of a new release bear the labels of the one before, but for the number. So where no rule fits, the version in
//! each rule's pattern is taken for any version with as many parts, and the nearest release before stands in for the one
//! that was found: `Debian 11.\d+.\d+ amd64 n` finds `Debian 12.5.0 amd64 n` to be Debian 12.

use crate::{Database, Identified, Labels, Medium, System, identify, literal};

/// A release that the database doesn't know, by the nearest that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer<'a> {
    /// The release that it knows, and the rule.
    pub like: Identified<'a>,
    /// The version that was found.
    pub version: String,
    /// What it is probably called: the known one's name with the other version.
    pub name: String,
    /// What it is probably known by in a newer database.
    pub id: String,
    /// Probably one of its short ids.
    pub short_id: String,
}

/// Without as much text around its version a rule says too little.
const LEAST_LITERAL: usize = 3;

impl Database {
    /// The release that these labels speak of, where the database has only others of the same system. It is newer than the
    /// one that stands in for it.
    #[must_use]
    pub fn identify_newer(&self, labels: &Labels) -> Option<Newer<'_>> {
        let mut best: Option<(Vec<u64>, usize, Newer<'_>)> = None;
        for (system, medium) in self.rules() {
            let Some(known) = system.version.as_deref() else { continue };
            let Some(found) = version_in(system, medium, known, labels) else { continue };
            let known_parts = parts(known);
            if parts(&found) <= known_parts {
                continue;
            }
            let rules = medium.rules();
            // Of equals the one for a PC.
            let rank = (&known_parts, rules, medium.arch == "x86_64");
            if best
                .as_ref()
                .is_some_and(|(parts, rules, best)| (parts, *rules, best.like.medium.arch == "x86_64") >= rank)
            {
                continue;
            }
            let newer = Newer {
                like: Identified { system, medium },
                name: replace_version(&system.name, known, &found)
                    .unwrap_or_else(|| format!("{} ({found})", system.name)),
                id: replace_version(&system.id, known, &found).unwrap_or_else(|| system.id.clone()),
                short_id: replace_version(system.short_id(), known, &found)
                    .unwrap_or_else(|| system.short_id().to_owned()),
                version: found,
            };
            best = Some((known_parts, rules, newer));
        }
        best.map(|(.., newer)| newer)
    }
}

/// The version that the volume identifier has where the rule has the known one, if all else fits.
fn version_in(system: &System, medium: &Medium, known: &str, labels: &Labels) -> Option<String> {
    let pattern = medium.volume_id.as_deref()?;
    if medium.volume_bytes.is_some() {
        // Of that very disc.
        return None;
    }
    let (before, after) = around_version(pattern, known)?;
    let part = r"[._]\d{1,8}".repeat(known.matches('.').count());
    let relaxed = format!(r"{before}(?P<version>\d{{1,8}}{part}){after}");
    // Neither half may hold half a group: the literal is looked for in each.
    let literals = [literal::required(before), literal::required(after)];
    if !literals.iter().all(|literal| labels.volume.contains(literal))
        || literals.iter().map(String::len).sum::<usize>() < LEAST_LITERAL
    {
        return None;
    }
    let usable = |pattern: &str| match identify::compile(pattern) {
        Ok(regex) => Some(regex),
        Err(error) => {
            identify::warn(system, &error);
            None
        }
    };
    let captured = usable(&relaxed)?.captures(&labels.volume)?.name("version")?;
    // Not a part of a longer number.
    let outside = |neighbour: Option<char>| neighbour.is_none_or(|char| !char.is_ascii_digit());
    if !outside(labels.volume[..captured.start()].chars().next_back())
        || !outside(labels.volume[captured.end()..].chars().next())
    {
        return None;
    }
    let others = Medium { volume_id: None, ..medium.clone() };
    let fits = others.rules() == 0 || others.matches(labels).unwrap_or(false);
    fits.then(|| captured.as_str().replace('_', "."))
}

/// What stands around the version in a pattern, however that writes it.
fn around_version<'p>(pattern: &'p str, version: &str) -> Option<(&'p str, &'p str)> {
    let is_version = version.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_version {
        return None;
    }
    [version.replace('.', r"\."), version.replace('.', "_"), version.to_owned()].iter().find_map(|written| {
        pattern.match_indices(written.as_str()).find_map(|(start, _)| {
            let (before, after) = (&pattern[..start], &pattern[start + written.len()..]);
            let ends_number = !after.starts_with(|char: char| char.is_ascii_digit() || "*+?{".contains(char));
            // Not a count, a class's range or an escaped digit.
            let begins_number = match before.chars().next_back() {
                Some('-') => !before.contains('['),
                Some(char) => !char.is_ascii_digit() && !"\\{,[x.".contains(char),
                None => true,
            };
            (ends_number && begins_number).then_some((before, after))
        })
    })
}

/// `text` with the version `new` in the place of `known`, if it stands there.
fn replace_version(text: &str, known: &str, new: &str) -> Option<String> {
    let (start, _) = text.match_indices(known).find(|(start, _)| {
        let outside = |neighbour: Option<char>| neighbour.is_none_or(|char| !char.is_ascii_digit() && char != '.');
        outside(text[..*start].chars().next_back()) && outside(text[start + known.len()..].chars().next())
    })?;
    Some(format!("{}{new}{}", &text[..start], &text[start + known.len()..]))
}

fn parts(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn system(id: &str, name: &str, version: &str, patterns: &[&str]) -> System {
        let medium =
            |pattern: &&str| Medium { arch: "x86_64".into(), volume_id: Some((*pattern).into()), ..Medium::default() };
        System {
            id: format!("http://example.org/{id}"),
            short_ids: vec![id.replace('/', "")],
            name: name.into(),
            version: Some(version.into()),
            media: patterns.iter().map(medium).collect(),
            ..System::default()
        }
    }

    fn database() -> Database {
        Database::of([
            system("deb/10", "Deb 10", "10", &[r"Deb 10.\d+.\d+ amd64 n"]),
            system("deb/11", "Deb 11", "11", &[r"Deb 11.\d+.\d+ amd64 n"]),
            system("ub/22.04", "Ub 22.04 LTS", "22.04", &[r"Ub 22.04(.\d\+?)? LTS amd64"]),
            system("ub/22.10", "Ub 22.10", "22.10", &[r"Ub 22.10(.\d\+?)? amd64"]),
            system("bsd/13.1", "BSD 13.1", "13.1", &["13_1_RELEASE_AMD64_CD"]),
            system("fed/37", "Fed Linux 37", "37", &["Fed-WS-Live-37.*"]),
            system("alp/3.17", "Alp 3.17", "3.17", &[r"alp-std 3\.17.* x86_64$"]),
            system("tiny/1", "Tiny", "1", &["T1"]),
            system("win/10", "Win 10", "10.0", &["A_X64"]),
        ])
    }

    fn newer(volume: &str) -> Option<(String, String, String)> {
        let labels = Labels { volume: volume.into(), ..Labels::default() };
        let database = database();
        let found = database.identify_newer(&labels)?;
        Some((found.name, found.short_id, found.like.system.short_id().to_owned()))
    }

    #[test]
    fn a_release_after_those_that_are_known_is_named_by_the_nearest() {
        for (volume, name, short_id, like) in [
            ("Deb 12.5.0 amd64 n", "Deb 12", "deb12", "deb11"),
            ("Deb 13.10.10 amd64 n", "Deb 13", "deb13", "deb11"),
            ("Ub 24.04.1 LTS amd64", "Ub 24.04 LTS", "ub24.04", "ub22.04"),
            ("Ub 25.10 amd64", "Ub 25.10", "ub25.10", "ub22.10"),
            ("14_1_RELEASE_AMD64_CD", "BSD 14.1", "bsd14.1", "bsd13.1"),
            ("Fed-WS-Live-40-1-14", "Fed Linux 40", "fed40", "fed37"),
            ("alp-std 3.20.3 x86_64", "Alp 3.20", "alp3.20", "alp3.17"),
        ] {
            assert_eq!(newer(volume), Some((name.into(), short_id.into(), like.into())), "{volume}");
        }
    }

    #[test]
    fn what_is_older_or_says_too_little_or_something_else_is_not_a_release() {
        for volume in ["Deb 9.1.0 amd64 n", "Deb 12.5.0 arm64 n", "T2", "Kub 24.04 LTS amd64", "", "Deb x.1.2 amd64 n"]
        {
            assert_eq!(newer(volume), None, "{volume}");
        }
    }

    #[test]
    fn the_other_labels_must_fit_as_well() {
        let mut system = system("deb/11", "Deb 11", "11", &["Deb 11 amd64"]);
        system.media[0].publisher_id = Some("^ME$".into());
        let database = Database::of([system]);
        let labels = |publisher: &str| Labels {
            volume: "Deb 12 amd64".into(),
            publisher: publisher.into(),
            ..Labels::default()
        };
        assert!(database.identify_newer(&labels("ME")).is_some());
        assert!(database.identify_newer(&labels("YOU")).is_none());
    }

    proptest! {
        #[test]
        fn no_labels_make_it_panic(volume in "(Deb |Ub |Fed-WS-Live-)?[0-9._ü]{0,20}.{0,12}") {
            newer(&volume);
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in ".{0,10}11.{0,10}", volume in ".{0,10}12.{0,10}") {
            let database = Database::of([system("x/11", "X 11", "11", &[&pattern])]);
            let _ = database.identify_newer(&Labels { volume, ..Labels::default() });
        }
    }
}
