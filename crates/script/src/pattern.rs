//! Expected lines in which something changes from run to run.
//!
//! `<any>` stands for any text, `<1..1000>` for a whole number in that range, and a line `<lines>` for
//! any number of lines.

/// The lines a script should hold for these replies: what it holds, where that matches.
pub fn merged(expected: &[&str], actual: &[&str]) -> Vec<String> {
    if matches(expected, actual) {
        return expected.iter().map(|line| (*line).to_owned()).collect();
    }
    let line = |(number, line): (usize, &&str)| match expected.get(number) {
        Some(pattern) if line_matches(pattern, line) => (*pattern).to_owned(),
        _ => (*line).to_owned(),
    };
    actual.iter().enumerate().map(line).collect()
}

fn matches(expected: &[&str], actual: &[&str]) -> bool {
    match (expected, actual) {
        ([], []) => true,
        (["<lines>", rest @ ..], _) => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        ([pattern, expected @ ..], [line, actual @ ..]) => {
            line_matches(pattern, line) && matches(expected, actual)
        }
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((before, mark, after)) = first_mark(pattern) else { return pattern == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    match mark {
        Mark::Any => {
            let ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
            ends.into_iter().any(|end| line_matches(after, &rest[end..]))
        }
        Mark::Range(least, most) => {
            let digits = |c: char| c.is_ascii_digit() || c == '-';
            let end = rest.find(|c| !digits(c)).unwrap_or(rest.len());
            let number = rest[..end].parse::<i64>();
            number.is_ok_and(|number| (least..=most).contains(&number))
                && line_matches(after, &rest[end..])
        }
    }
}

enum Mark {
    Any,
    Range(i64, i64),
}

/// What is before the first mark, the mark, and what is behind it.
fn first_mark(pattern: &str) -> Option<(&str, Mark, &str)> {
    for (start, _) in pattern.match_indices('<') {
        let Some(length) = pattern[start..].find('>') else { continue };
        let inner = &pattern[start + 1..start + length];
        let range = || {
            let (least, most) = inner.split_once("..")?;
            Some(Mark::Range(least.parse().ok()?, most.parse().ok()?))
        };
        let mark = if inner == "any" { Some(Mark::Any) } else { range() };
        if let Some(mark) = mark {
            return Some((&pattern[..start], mark, &pattern[start + length + 1..]));
        }
    }
    None
}

#[test]
fn patterns() {
    assert!(line_matches("(integer) <1..10>", "(integer) 10"));
    assert!(!line_matches("(integer) <1..10>", "(integer) 11"));
    assert!(line_matches("a<any>c<any>", "abcd"));
    assert!(!line_matches("a<any>x", "abc"));
    assert!(line_matches("a < b > c", "a < b > c"));
    assert!(matches(&["a", "<lines>", "z"], &["a", "b", "c", "z"]));
    assert!(!matches(&["a", "<lines>", "z"], &["a", "b", "c"]));
}
