//! Unpacking of LZF, the compression of liblzf by Marc Lehmann.
//!
//! ```text
//!  000nnnnn                     n + 1 bytes as they are follow
//!  nnnooooo oooooooo            n + 2 bytes from o + 1 back, n from 1 to 6
//!  111ooooo nnnnnnnn oooooooo   n + 9 bytes from o + 1 back, which may reach into themselves
//! ```

/// Most bytes that one byte of a packed value can stand for, rounded up: 264 in three.
const MOST_A_BYTE: usize = 88;

/// Unpacks a value of at most `longest` bytes; none if it is longer or no packed value.
pub(super) fn unpack(packed: &[u8], longest: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(longest.min(packed.len().saturating_mul(MOST_A_BYTE)));
    let mut rest = packed;
    while let Some((control, behind)) = rest.split_first() {
        rest = match control >> 5 {
            0 => {
                let (literal, behind) = behind.split_at_checked(usize::from(*control) + 1)?;
                has_room(&out, literal.len(), longest)?;
                out.extend_from_slice(literal);
                behind
            }
            short => {
                let (length, behind) = match short {
                    7 => behind
                        .split_first()
                        .map(|(more, behind)| (usize::from(*more) + 9, behind))?,
                    _ => (usize::from(short) + 2, behind),
                };
                let (low, behind) = behind.split_first()?;
                let back = (usize::from(control & 0x1f) << 8 | usize::from(*low)) + 1;
                has_room(&out, length, longest)?;
                repeat(&mut out, back, length)?;
                behind
            }
        };
    }
    Some(out)
}

fn has_room(out: &[u8], more: usize, longest: usize) -> Option<()> {
    (more <= longest - out.len()).then_some(())
}

/// Appends `length` bytes that begin `back` before the end.
fn repeat(out: &mut Vec<u8>, back: usize, length: usize) -> Option<()> {
    let start = out.len().checked_sub(back)?;
    let mut left = length;
    while left > 0 {
        let part = left.min(out.len() - start);
        out.extend_from_within(start..start + part);
        left -= part;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking() {
        assert_eq!(unpack(b"", 9).unwrap(), b"");
        assert_eq!(unpack(b"\x02abc", 9).unwrap(), b"abc");
        assert_eq!(unpack(b"\x02abc\x20\x02", 9).unwrap(), b"abcabc");
        assert_eq!(unpack(b"\x00a\xe0\x03\x00", 13).unwrap(), b"aaaaaaaaaaaaa");
        assert_eq!(unpack(b"\x01ab\x60\x01\x00c", 9).unwrap(), b"abababac"[..].to_vec());
    }

    #[test]
    fn refusals() {
        for packed in
            [&b"\x02ab"[..], b"\x20", b"\x20\x00", b"\x00a\x20\x01", b"\xe0", b"\x00a\xe0\x01"]
        {
            assert_eq!(unpack(packed, 99), None, "{}", packed.escape_ascii());
        }
        assert_eq!(unpack(b"\x02abc", 2), None);
        assert_eq!(unpack(b"\x00a\xe0\xff\x00", 264), None);
    }
}
