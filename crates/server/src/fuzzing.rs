//! What fuzzers feed bytes to. No part of the library's interface.
//!
//! ```text
//!  bytes ─▶ the decoder, whole and in pieces                               requests
//!  bytes ─▶ words or raw bytes, cut anywhere ─▶ a connection of a server   conversation
//! ```
//!
//! Nothing may panic or hang, whatever the bytes; what a server answers is RESP, one reply for each
//! request, and its store can be read afterwards.

mod parse;
mod script;

use std::path::PathBuf;
use std::sync::Arc;

use aryavarth::Durability;
use aryavarth::disk::sim::SimDisk;

use crate::cluster::Start;
use crate::config::{Bytes, Config, Sources};
use crate::net::{ByHand, Standstill};
use crate::resp::{Ahead, Caller, Decoded, Decoder, Limits, ProtocolError};
use crate::server::{Server, assemble, start_committer};
use crate::tls::{self, Tls};

use self::parse::End;
use self::script::{Random, Script};

/// Small, so that bytes reach them.
const LIMITS: Limits = Limits { arguments: 40, bulk: 300, inline: 200, caller: Caller::Known };

type Words = Vec<Vec<u8>>;
type Outcome = Result<usize, ProtocolError>;

// --- the decoder ---

/// Decodes bytes as requests, whole and in pieces; returns how many there are.
///
/// # Panics
/// If that makes a difference.
pub fn requests(bytes: &[u8]) -> usize {
    let (found, outcome) = whole(bytes, &LIMITS);
    let mut random = Random::of(bytes);
    for most in [1, 16] {
        let pieces = in_pieces(bytes, || 1 + random.below(20), most);
        assert_eq!((&found, &outcome), (&pieces.0, &pieces.1), "{most} at once");
    }
    let one_by_one = in_pieces(bytes, || 1, 16);
    assert_eq!((&found, &outcome), (&one_by_one.0, &one_by_one.1), "byte by byte");
    found.len()
}

fn whole(bytes: &[u8], limits: &Limits) -> (Vec<Words>, Outcome) {
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

/// The same with more bytes shown each time, and some requests understood ahead.
fn in_pieces(bytes: &[u8], mut piece: impl FnMut() -> usize, most: usize) -> (Vec<Words>, Outcome) {
    let (mut decoder, mut ahead) = (Decoder::default(), Ahead::default());
    let (mut found, mut used, mut shown) = (Vec::new(), 0, 0);
    while shown < bytes.len() {
        shown = (shown + piece()).min(bytes.len());
        loop {
            let rest = &bytes[used..shown];
            let filled = ahead.fill(&mut decoder, rest, &LIMITS, most);
            let count = ahead.len();
            for number in 0..count {
                found.push(ahead.args(number, rest).iter().map(<[u8]>::to_vec).collect());
                used += ahead.length(number);
            }
            match filled {
                Err(error) => return (found, Err(error)),
                Ok(()) if count < most => break,
                Ok(()) => {}
            }
        }
    }
    (found, Ok(used))
}

// --- the connection ---

/// Has a client say this to a server: commands made of the bytes, or the bytes themselves.
///
/// # Panics
/// If the server hangs, answers something else than RESP, or not each request.
pub fn conversation(bytes: &[u8]) {
    let script = Script::of(bytes);
    let server = server();
    let mut connection = ByHand::new(&server).expect("the system has sockets");
    let committer = start_committer(&server).expect("the system has threads");
    let mut standstill = Standstill::Listening;
    for chunk in script.chunks() {
        standstill = connection.send(chunk);
        if standstill != Standstill::Listening {
            break;
        }
    }
    let (output, end) = connection.finish();
    let is_whole = standstill == Standstill::Listening && end == Standstill::Closed;
    check_output(&script, &output, is_whole);
    server.proposers.flush();
    server.log_queue.stop();
    committer.join().expect("the committer does not panic");
    // Going over an index that is nearly empty is most of the work, so once is enough.
    let readable = server.store.iter().filter(Result::is_ok).count();
    assert_eq!(readable as u64, server.store.len(), "entries that can be read");
    server.store.clone().close().expect("nothing fails on a machine without faults");
}

/// A server without threads on a machine of its own.
fn server() -> Arc<Server> {
    let mut config = Config::default();
    config.dir = PathBuf::from("/store");
    config.durability = Durability::Os;
    config.segment_size = Bytes(1 << 20);
    config.max_value_length = Bytes(4 << 10);
    config.io_threads = 1;
    let tls = Tls::new(tls::load(&config).expect("there is none to load"));
    let disk = Arc::new(SimDisk::new());
    assemble(disk, config, &Sources::default(), tls, &Start::Resume)
        .expect("an empty store opens")
        .0
}

/// Looks whether the output is replies, and if the server took all of the script, whether they are
/// as many as the requests.
fn check_output(script: &Script, output: &[u8], is_whole: bool) {
    let shown = || (script.bytes.escape_ascii().to_string(), output.escape_ascii().to_string());
    let (replies, end) = parse::replies(output);
    assert!(end != End::Malformed, "no RESP: {:?}", shown());
    if !is_whole || script.is_uncounted() {
        return;
    }
    assert!(end == End::Whole, "the last reply is cut: {:?}", shown());
    let config = Config::default();
    let limits = Limits {
        arguments: config.max_arguments as usize,
        bulk: config.proto_max_bulk_len.0 as usize,
        inline: config.max_inline_length.0 as usize,
        caller: Caller::Known,
    };
    let (found, outcome) = whole(&script.bytes, &limits);
    let expected = found.iter().filter(|words| !words.is_empty()).count();
    let expected = expected + usize::from(outcome.is_err());
    assert_eq!(replies, expected, "replies to requests: {:?}", shown());
}
