//! What a label must hold for a pattern to match: found without compiling the pattern, so that of two thousand patterns
//! only the few are compiled that can match.

/// The longest text that is in whatever `pattern` matches, as it stands there; empty if none is known. Only a plain
/// beginning of the syntax is understood, and whatever is in brackets or behind a quantifier is passed over.
pub(crate) fn required(pattern: &str) -> String {
    // Flags change how letters are compared.
    if pattern.contains("(?") {
        return String::new();
    }
    let mut best = String::new();
    let mut run = String::new();
    let mut keep = |run: &mut String| {
        if run.len() > best.len() {
            best.clone_from(run);
        }
        run.clear();
    };
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '|' => return String::new(),
            '\\' => match chars.next() {
                // To some a word's beginning and end.
                Some('<' | '>') => keep(&mut run),
                Some(escaped) if escaped.is_ascii_punctuation() || escaped == ' ' => run.push(escaped),
                // Classes and references; a code point's digits would be taken for letters.
                Some('x' | 'u' | 'U' | 'p' | 'P' | 'Q' | 'k' | 'g' | 'N' | 'o' | 'c') => return String::new(),
                _ => keep(&mut run),
            },
            '[' => {
                keep(&mut run);
                if !skip_class(&mut chars) {
                    return String::new();
                }
            }
            '(' => {
                keep(&mut run);
                if !skip_group(&mut chars) {
                    return String::new();
                }
            }
            '*' | '?' | '{' => {
                run.pop();
                keep(&mut run);
                if char == '{' {
                    for inner in chars.by_ref() {
                        if inner == '}' {
                            break;
                        }
                    }
                }
            }
            '.' | '^' | '$' | '+' | ')' => keep(&mut run),
            plain => run.push(plain),
        }
    }
    keep(&mut run);
    best
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// To the end of a class; whether there was one.
fn skip_class(chars: &mut Chars<'_>) -> bool {
    if chars.peek() == Some(&'^') {
        chars.next();
    }
    // A bracket that comes first stands for itself.
    if chars.peek() == Some(&']') {
        chars.next();
    }
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            // Classes in classes are read in two ways.
            '[' => return false,
            ']' => return true,
            _ => {}
        }
    }
    false
}

/// To the end of a group, with those in it; whether there was one.
fn skip_group(chars: &mut Chars<'_>) -> bool {
    let mut depth = 1;
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            '[' if !skip_class(chars) => return false,
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_plain_text_is_found() {
        for (pattern, text) in [
            (r"Deb 11.\d+.\d+ amd64 n", " amd64 n"),
            (r"alpine-std 3\.17.* x86_64$", "alpine-std 3.17"),
            (r"^(J_)?CENN?A_X64FREV_", "A_X64FREV_"),
            (r"ARCH_\d{6}", "ARCH_"),
            ("a|b", ""),
            ("(a|b)cd", "cd"),
            ("(?i)abc", ""),
            ("ab*", "a"),
            ("ab+c", "ab"),
            ("x{2}yz", "yz"),
            ("[ab]c[^]]d", "c"),
            (r"\x41bc", ""),
            ("(ab", ""),
            ("", ""),
        ] {
            assert_eq!(required(pattern), text, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn whatever_matches_holds_it(pattern in r"([ab.]|\\d|\\.|\[ab\]|\[\^a\]|\(a\|b\)|\(ab?\)){1,6}[*+?$]?b?", text in "[ab.1]{0,12}") {
            let literal = required(&pattern);
            if let Ok(regex) = regex::Regex::new(&pattern)
                && regex.is_match(&text)
            {
                prop_assert!(text.contains(&literal), "{} {} {}", pattern, literal, text);
            }
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in ".{0,60}") {
            required(&pattern);
        }
    }
}
