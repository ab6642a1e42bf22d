//! Tests of the wire: requests whole and in pieces, what is refused, and that no bytes do harm.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { arguments: 1000, bulk: 1 << 20, inline: 1 << 10, caller: Caller::Known };

type Words = Vec<Vec<u8>>;

/// The requests in `bytes`, shown all at once, and how it ended.
fn whole(bytes: &[u8], limits: &Limits) -> (Vec<Words>, Result<usize, ProtocolError>) {
    let (mut decoder, mut found, mut used) = (Decoder::default(), Vec::new(), 0);
    loop {
        match decoder.decode(&bytes[used..], limits) {
            Ok(Decoded::Request(length)) => {
                let args = decoder.args(&bytes[used..used + length]);
                found.push(args.iter().map(<[u8]>::to_vec).collect());
                used += length;
            }
            Ok(Decoded::Incomplete) => return (found, Ok(used)),
            Err(error) => return (found, Err(error)),
        }
    }
}

/// The same, shown in pieces of the given lengths, through [`Ahead`].
fn in_pieces(
    bytes: &[u8],
    pieces: &[usize],
    most: usize,
    limits: &Limits,
) -> (Vec<Words>, Result<usize, ProtocolError>) {
    let (mut decoder, mut ahead) = (Decoder::default(), Ahead::default());
    let (mut found, mut used, mut shown) = (Vec::new(), 0, 0);
    let mut pieces = pieces.iter().copied().cycle();
    while shown < bytes.len() {
        shown = (shown + pieces.next().unwrap_or(1).max(1)).min(bytes.len());
        loop {
            let rest = &bytes[used..shown];
            let filled = ahead.fill(&mut decoder, rest, limits, most);
            let count = ahead.len();
            for number in 0..count {
                let args = ahead.args(number, rest);
                found.push(args.iter().map(<[u8]>::to_vec).collect());
            }
            used += (0..count).map(|number| ahead.length(number)).sum::<usize>();
            match filled {
                Err(error) => return (found, Err(error)),
                Ok(()) if count < most => break,
                Ok(()) => {}
            }
        }
    }
    (found, Ok(used))
}

fn refusal(bytes: &[u8]) -> String {
    whole(bytes, &LIMITS).1.expect_err("it is refused").to_string()
}

#[test]
fn requests_of_both_kinds_are_understood() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$4\r\nna\r\n\r\n*0\r\n\r\nSET \"a b\" '\\'' \"\\x00\\n\" \"\"\r\n*-1\r\nPING\n";
    let (found, used) = whole(bytes, &LIMITS);
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Words>();
    assert_eq!(
        found,
        [
            words(&[b"GET", b"na\r\n"]),
            words(&[]),
            words(&[]),
            words(&[b"SET", b"a b", b"'", b"\0\n", b""]),
            words(&[]),
            words(&[b"PING"]),
        ]
    );
    assert_eq!(used, Ok(bytes.len()));
}

#[test]
fn what_is_no_request_is_refused_in_the_words_of_redis() {
    assert_eq!(refusal(b"*1\r\n+x\r\n"), "expected '$', got '+'");
    assert_eq!(refusal(b"*1\r\n*1\r\n$4\r\nPING\r\n"), "expected '$', got '*'");
    assert_eq!(refusal(b"*x\r\n"), "invalid multibulk length");
    assert_eq!(refusal(b"*9999999999\r\n"), "invalid multibulk length");
    assert_eq!(refusal(b"*1001\r\n"), "invalid multibulk length");
    assert_eq!(refusal(b"*1\r\n$-1\r\n"), "invalid bulk length");
    assert_eq!(refusal(b"*1\r\n$99999999999999999999\r\n"), "invalid bulk length");
    assert_eq!(refusal(b"*1\r\n$1048577\r\n"), "invalid bulk length");
    assert_eq!(refusal(b"SET \"a\r\n"), "unbalanced quotes in request");
    assert_eq!(refusal(&[b'x'; 2000]), "too big inline request");
    assert_eq!(refusal(&[&b"*"[..], &[b'1'; 70_000]].concat()), "too big mbulk count string");
    assert_eq!(refusal(&[&b"*1\r\n$"[..], &[b'1'; 70_000]].concat()), "too big bulk count string");
    let stranger = Limits::UNAUTHENTICATED;
    let refused = |bytes: &[u8]| whole(bytes, &stranger).1.expect_err("refused").to_string();
    assert_eq!(refused(b"*11\r\n"), "unauthenticated multibulk length");
    assert_eq!(refused(b"*1\r\n$16385\r\n"), "unauthenticated bulk length");
}

#[test]
fn what_was_announced_takes_no_memory() {
    let mut decoder = Decoder::default();
    let limits = Limits { arguments: 1 << 20, bulk: 512 << 20, ..LIMITS };
    let bytes = b"*1048576\r\n$536870912\r\n";
    assert_eq!(decoder.decode(bytes, &limits), Ok(Decoded::Incomplete));
    assert_eq!(decoder.expected(), Some(bytes.len() + (512 << 20) + 2));
}

#[test]
fn replies_are_what_each_version_of_the_protocol_has_for_them() {
    let write = |protocol| {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol);
        reply.map(1);
        reply.bulk(b"a\r\n");
        reply.null();
        reply.set(2);
        reply.double(1.5);
        reply.boolean(true);
        reply.verbatim("hi");
        reply.null_array();
        reply.array(0);
        reply.integer(-7);
        reply.error("ERR two\r\nlines");
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    };
    assert_eq!(write(Protocol::Two), "*2 $3 a  $-1 *2 $3 1.5 :1 $2 hi *-1 *0 :-7 -ERR two  lines ");
    assert_eq!(write(Protocol::Three), "%1 $3 a  _ ~2 ,1.5 #t =6 txt:hi _ *0 :-7 -ERR two  lines ");
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::collection::vec(any::<u8>(), 0..40);
    let array = prop::collection::vec(word, 0..6).prop_map(|words| {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(&word);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    });
    let line = "[a-z]{1,9}( [a-z0-9]{1,9}){0,4}\r?\n".prop_map(String::into_bytes);
    let junk = prop::collection::vec(prop::sample::select(b"*$\r\n0123-ab\"'\\".to_vec()), 0..30);
    prop_oneof![6 => array, 2 => line, 1 => junk]
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        requests in prop::collection::vec(request(), 0..12),
        pieces in prop::collection::vec(1usize..50, 1..8),
        most in 1usize..20,
    ) {
        let bytes = requests.concat();
        prop_assert_eq!(in_pieces(&bytes, &pieces, most, &LIMITS), whole(&bytes, &LIMITS));
    }

    #[test]
    fn a_request_means_the_words_it_was_made_of(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
    ) {
        let mut packed = format!("*{}\r\n", words.len()).into_bytes();
        for word in &words {
            packed.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            packed.extend_from_slice(word);
            packed.extend_from_slice(b"\r\n");
        }
        let (found, used) = whole(&packed, &LIMITS);
        prop_assert_eq!(found, [words]);
        prop_assert_eq!(used, Ok(packed.len()));
    }
}
