//! What is told of a client in `CLIENT LIST`, `CLIENT INFO` and `ACL LOG`: one line.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::clients::{Client, Origin};
use crate::clock;
use crate::command::table;

/// The line of a client, without its end: the fields of Redis 7.2, in its order. What has no meaning
/// here, such as subscriptions, is 0.
pub fn client_line(client: &Client) -> String {
    let names = client.names().clone();
    let count = |number: &std::sync::atomic::AtomicUsize| number.load(Ordering::Relaxed);
    let (input, output) = (count(&client.input), count(&client.output));
    let memory = count(&client.memory) + size_of::<Client>();
    let mut line = String::with_capacity(320);
    let written = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 \
         multi={} watch={} qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs={output} rbp=0 \
         obl={output} oll=0 omem=0 tot-mem={memory} events={} cmd={} user={} redir=-1 resp={} \
         lib-name={} lib-ver={}",
        client.id.0,
        client.origin.peer(),
        client.origin.local(),
        client.fd,
        names.name,
        clock::monotonic().saturating_sub(client.since).as_secs(),
        client.idle().as_secs(),
        flags(client),
        client.queued.load(Ordering::Relaxed),
        count(&client.watched),
        if output > 0 { "rw" } else { "r" },
        last_command(client),
        names.user,
        client.protocol.load(Ordering::Relaxed),
        names.library,
        names.library_version,
    );
    written.expect("a string takes everything");
    line
}

/// One letter for each thing that is so; `N` if nothing is.
fn flags(client: &Client) -> String {
    let is = |flag: &std::sync::atomic::AtomicBool| flag.load(Ordering::Relaxed);
    let letters = [
        ('x', client.queued.load(Ordering::Relaxed) >= 0),
        ('A', is(&client.doomed)),
        ('U', matches!(client.origin, Origin::File(_))),
        ('e', is(&client.no_evict)),
        ('T', is(&client.no_touch)),
    ];
    let set: String = letters.iter().filter(|(_, set)| *set).map(|(letter, _)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}

fn last_command(client: &Client) -> &'static str {
    match client.last_command.load(Ordering::Relaxed).checked_sub(1) {
        None => "NULL",
        Some(number) => {
            let found = table::all().find(|spec| spec.id.index() == number);
            found.map_or("NULL", |spec| spec.full_name)
        }
    }
}
