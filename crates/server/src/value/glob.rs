//! Glob patterns: what `KEYS`, `SCAN … MATCH`, `PSUBSCRIBE` and access rules compare names with.
//!
//! ```text
//!  *       any bytes, also none        [abc]   one of these bytes
//!  ?       any one byte                [a-z]   one byte of the range, ends in any order
//!  \x      the byte x itself           [^a-z]  one byte that is none of these
//! ```
//!
//! Corners, all as in Redis' `stringmatchlen`:
//! - a class without its `]` ends with the pattern; `[]` matches nothing and `[^]` any byte;
//! - inside a class `\` quotes the next byte, and `a-` followed by any byte at all is a range, so
//!   the `]` of `[a-]` is the end of a range and closes nothing;
//! - the ends of a range compare as signed bytes (C's `char` on x86-64): `[a-\xff]` means -1 to 97;
//! - a `\` at the very end stands for itself;
//! - an empty text matches the empty pattern alone, not even `*`. The commands that list keys take
//!   a lone `*` for all of them before they ask, which [`prefix`] tells.
//!
//! Redis recurses at each `*` and tells the callers when a longer match cannot help. The same comes
//! of a loop that remembers the last `*`: an earlier one never needs to grow once a later one is
//! reached, so the work is at most length of pattern × length of text. Redis releases that refuse
//! patterns with more than 1000 separate `*` answer no to them; this answers.

use memchr::memchr;

/// What every text that matches a pattern begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix<'pattern> {
    /// The pattern is `*`: commands that list keys take it for all, whatever [`matches()`] says of
    /// an empty text.
    Every,
    /// The pattern has no special byte: only this text matches.
    Exact(&'pattern [u8]),
    /// Matching texts begin so; whether one matches is for [`matches()`] to say. May be empty.
    Opens(&'pattern [u8]),
}

/// Tells what all texts that match `pattern` begin with.
pub fn prefix(pattern: &[u8]) -> Prefix<'_> {
    if pattern == b"*" {
        return Prefix::Every;
    }
    match pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
        Some(end) => Prefix::Opens(&pattern[..end]),
        None => Prefix::Exact(pattern),
    }
}

/// The literal bytes that every text matching `pattern` begins with; empty if there are none.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    match prefix(pattern) {
        Prefix::Every => &[],
        Prefix::Exact(text) | Prefix::Opens(text) => text,
    }
}

/// Whether the whole of `text` matches `pattern`; case counts.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    // Where to go on after a mismatch: behind the last star, with it one byte longer.
    let mut retry: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut text) = (pattern, text);
    loop {
        if let Some(behind) = skip_stars(pattern) {
            if behind.is_empty() {
                return true;
            }
            pattern = behind;
            retry = Some((pattern, text));
        }
        if text.is_empty() && pattern.is_empty() {
            return true;
        }
        if let Some((byte, rest)) = text.split_first()
            && let Some(behind) = match_one(pattern, *byte)
        {
            (pattern, text) = (behind, rest);
            continue;
        }
        let Some((again, from)) = retry.and_then(lengthen) else { return false };
        (pattern, text) = (again, from);
        retry = Some((pattern, text));
    }
}

/// What follows the stars that `pattern` begins with; none if it does not begin with one.
fn skip_stars(pattern: &[u8]) -> Option<&[u8]> {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    (stars > 0).then(|| &pattern[stars..])
}

/// Lets the star before `pattern` take at least one byte more of `text`: up to the next byte that
/// can match what follows it. None if there is no such byte.
fn lengthen<'a>((pattern, text): (&'a [u8], &'a [u8])) -> Option<(&'a [u8], &'a [u8])> {
    let rest = text.get(1..)?;
    let skip = match pattern.first() {
        Some(b'?' | b'[' | b'\\') | None => 0,
        Some(byte) => memchr(*byte, rest)?,
    };
    Some((pattern, &rest[skip..]))
}

/// Matches one byte with the first element of `pattern`, which is no star. Returns what follows
/// the element, or none if it does not match or `pattern` is empty.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', behind @ ..] => Some(behind),
        [b'[', class @ ..] => match_class(class, byte),
        [b'\\', quoted, behind @ ..] => (*quoted == byte).then_some(behind),
        [literal, behind @ ..] => (*literal == byte).then_some(behind),
    }
}

/// Matches one byte with a class, of which `class` is what follows the `[`.
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (mut class, negated) = match class {
        [b'^', rest @ ..] => (rest, true),
        _ => (class, false),
    };
    let mut found = false;
    loop {
        class = match class {
            [] => break,
            [b'\\', quoted, rest @ ..] => {
                found |= *quoted == byte;
                rest
            }
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [one, b'-', other, rest @ ..] => {
                found |= in_range(*one, *other, byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != negated).then_some(class)
}

fn in_range(one: u8, other: u8, byte: u8) -> bool {
    let [one, other, byte] = [one, other, byte].map(u8::cast_signed);
    (one.min(other)..=one.max(other)).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &[u8], yes: &[&[u8]], no: &[&[u8]]) {
        for text in yes {
            assert!(matches(pattern, text), "{} on {}", show(pattern), show(text));
        }
        for text in no {
            assert!(!matches(pattern, text), "{} on {}", show(pattern), show(text));
        }
    }

    fn show(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn plain_elements() {
        check(b"abc", &[b"abc"], &[b"ab", b"abcd", b"ABC", b""]);
        check(b"a?c", &[b"abc", b"a?c"], &[b"ac", b"abbc"]);
        check(b"a*c", &[b"ac", b"abc", b"acc", b"abcc"], &[b"a", b"c", b"acd"]);
        check(b"**a**", &[b"a", b"xa", b"ax", b"xax"], &[b"", b"b"]);
        check(b"*foo*bar", &[b"foobar", b"fofoo-babar"], &[b"foobarx", b"fobar"]);
        check(br"a\*b", &[b"a*b"], &[b"axb", br"a\*b"]);
        check(br"a\", &[br"a\"], &[b"a"]);
        check(br"\\", &[br"\"], &[br"\\"]);
    }

    #[test]
    fn empty_text_matches_the_empty_pattern_alone() {
        check(b"", &[b""], &[b"a"]);
        check(b"*", &[b"a", b"ab"], &[b""]);
        check(b"**", &[b"a"], &[b""]);
    }

    #[test]
    fn classes() {
        check(b"h[ae]llo", &[b"hello", b"hallo"], &[b"hillo", b"hllo"]);
        check(b"h[^e]llo", &[b"hallo", b"hbllo"], &[b"hello"]);
        check(b"[a-c]", &[b"a", b"b", b"c"], &[b"d", b"-"]);
        check(b"[c-a]", &[b"a", b"b", b"c"], &[b"d"]);
        check(br"[\]a]", &[b"]", b"a"], &[br"\"]);
        check(br"[a\-c]", &[b"a", b"-", b"c"], &[b"b"]);
        check(b"[]", &[], &[b"]", b"[", b"a"]);
        check(b"[^]", &[b"a", b"]"], &[b"ab"]);
        check(b"[]a]", &[], &[b"]a]", b"a"]);
        check(b"[a-]", &[b"a", b"]", b"_"], &[b"-", b"b"]);
    }

    #[test]
    fn classes_without_an_end() {
        check(b"[", &[], &[b"[", b"a"]);
        check(b"[^", &[b"a", b"^"], &[b"ab"]);
        check(b"[abc", &[b"a", b"c"], &[b"d", b"abc"]);
        check(b"x[a-", &[b"xa", b"x-"], &[b"xb"]);
        check(br"[a\", &[b"a", br"\"], &[b"b"]);
        check(b"*[ab", &[b"xxa", b"b"], &[b"xx"]);
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        check(b"[a-\xff]", &[b"a", b"A", b"\0", b"\xff"], &[b"b", b"\xfe", b"\x80"]);
        check(b"[\x80-\xff]", &[b"\x80", b"\xc0", b"\xff"], &[b"\0", b"a"]);
    }

    #[test]
    fn abusive_patterns_end() {
        let text = vec![b'a'; 20_000];
        let mut pattern = b"*a".repeat(50);
        assert!(matches(&pattern, &text));
        pattern.extend_from_slice(b"*b");
        assert!(!matches(&pattern, &text));
        assert!(!matches(&b"a*".repeat(30_000), &text));
        let classes = [&b"[^b]*".repeat(500)[..], b"b"].concat();
        assert!(!matches(&classes, &text[..5000]));
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix(b"*"), Prefix::Every);
        assert_eq!(prefix(b""), Prefix::Exact(b""));
        assert_eq!(prefix(b"user:1"), Prefix::Exact(b"user:1"));
        assert_eq!(prefix(b"user:*"), Prefix::Opens(b"user:"));
        assert_eq!(prefix(br"us\er"), Prefix::Opens(b"us"));
        assert_eq!(literal_prefix(b"a[b]"), b"a");
        assert_eq!(literal_prefix(b"**"), b"");
    }

    /// The definition, exponential where it likes.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            (_, [byte, behind @ ..]) => {
                match_one(pattern, *byte).is_some_and(|rest| slow(rest, behind))
            }
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?^\\[\\]\\\\-]{0,9}", text in "[ab\\]-]{1,8}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), slow(pattern, text));
        }

        #[test]
        fn prefix_opens_every_match(pattern in "[ab*?\\\\]{0,6}", text in "[ab]{1,6}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            if matches(pattern, text) {
                prop_assert!(text.starts_with(literal_prefix(pattern)));
                if let Prefix::Exact(only) = prefix(pattern) {
                    prop_assert_eq!(only, text);
                }
            }
        }
    }
}
