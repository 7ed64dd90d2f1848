//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// The candidate nearest to `word`, if it is near enough to be what was meant: at most one slip in three
/// characters. Upper and lower case count as equal, except to choose between equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    // Whatever somebody pasted: names end at 200 characters, and the work grows with the square.
    let limit = (folded.chars().take(200).count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = distance(&folded, &candidate.to_lowercase(), limit);
            (distance, distance + usize::from(candidate != word), candidate)
        })
        .filter(|(distance, ..)| *distance <= limit)
        .min_by_key(|(_, rank, _)| *rank)
        .map(|(.., candidate)| candidate)
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour to make `b` of `a`
/// (optimal string alignment); anything above `limit` when it is more than that.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_insertions_removals_replacements_and_swaps() {
        for (a, b, expected) in [
            ("", "", 0),
            ("mint", "mint", 0),
            ("mint", "mimt", 1),
            ("mint", "mnit", 1),
            ("mint", "mints", 1),
            ("mint", "int", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(distance(a, b, 9), expected, "{a} {b}");
            assert_eq!(distance(b, a, 9), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_typo_finds_its_word_and_another_word_finds_none() {
        let words = ["memory", "cpus", "firmware"];
        assert_eq!(nearest("memroy", words), Some("memory"));
        assert_eq!(nearest("CPUS", words), Some("cpus"));
        assert_eq!(nearest("xyz", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn of_two_that_differ_in_case_the_one_written_so_wins() {
        assert_eq!(nearest("mint", ["Mint", "mint"]), Some("mint"));
        assert_eq!(nearest("Mint", ["mint", "Mint"]), Some("Mint"));
    }
}
