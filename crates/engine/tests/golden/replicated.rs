//! The commands of a script that are about replicated logs.
//!
//! ```text
//! replica SHARD | forget SHARD | state SHARD | entries SHARD | vote SHARD TEXT
//! append SHARD TERM.INDEX set K V; rm K; …     append SHARD TERM.INDEX blank | config TEXT
//! commit SHARD INDEX      what is known to be committed, and applied
//! truncate SHARD INDEX|all     purge SHARD TERM.INDEX     reset SHARD TERM.INDEX
//! ```

use aryavarth::{
    EntryId, EntryIndex, KvStore, LoggedPayload, NewEntry, Payload, ReplicatedLog, Result, ShardId,
    Term, WriteBatch,
};

use crate::session::number;
use crate::show::text;

fn entry_id(word: &str) -> EntryId {
    let (term, index) = word.split_once('.').expect("TERM.INDEX");
    EntryId { term: Term(number(term)), index: EntryIndex(number(index)) }
}

/// Performs a command; `batch` makes a batch of its text.
pub fn perform(store: &KvStore, line: &str, batch: impl Fn(&str) -> WriteBatch) -> Result<String> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let log = store.replicated(ShardId(number(words[1]) as u16))?;
    match words[..] {
        ["replica", _] => {}
        ["forget", _] => log.forget()?,
        ["state", _] => return state(&log),
        ["entries", _] => return entries(&log),
        ["vote", _, vote] => log.save_vote(vote.as_bytes())?,
        ["append", _, id, what] => append(&log, entry_id(id), what, batch)?,
        ["commit", _, index] => {
            let index = EntryIndex(number(index));
            if let Some(entry) = log.read(index..index.next(), 1)?.first() {
                log.save_committed(entry.id)?;
            }
            log.apply(index)?;
        }
        ["truncate", _, "all"] => log.truncate_after(None)?,
        ["truncate", _, last] => log.truncate_after(Some(EntryIndex(number(last))))?,
        ["purge", _, id] => log.purge(entry_id(id))?,
        ["reset", _, id] => log.reset(entry_id(id), None)?,
        _ => panic!("unknown command {line:?}"),
    }
    Ok(String::new())
}

fn append(
    log: &ReplicatedLog,
    id: EntryId,
    what: &str,
    batch: impl Fn(&str) -> WriteBatch,
) -> Result<()> {
    match what.split_once(' ') {
        Some(("config", config)) => {
            log.append(&[NewEntry { id, payload: Payload::Config(config.as_bytes()) }])
        }
        Some(_) => log.append(&[NewEntry { id, payload: Payload::Effects(&batch(what)) }]),
        None => log.append(&[NewEntry { id, payload: Payload::Blank }]),
    }
}

fn state(log: &ReplicatedLog) -> Result<String> {
    let state = log.state()?;
    let id = |id: Option<EntryId>| id.map_or("none".to_owned(), |id| id.to_string());
    let config = state
        .config
        .map_or_else(String::new, |(id, bytes)| format!(", config {} of {id}", text(&bytes)));
    Ok(format!(
        "vote {}, purged {}, last {}, committed {}, applied {}{config}",
        state.vote.map_or("none".to_owned(), |vote| text(&vote)),
        id(state.purged),
        id(state.last),
        id(state.committed),
        id(state.applied),
    ))
}

fn entries(log: &ReplicatedLog) -> Result<String> {
    let entries = log.read(EntryIndex(0)..EntryIndex(u64::MAX), u64::MAX)?;
    let shown = entries.iter().map(|entry| match &entry.payload {
        LoggedPayload::Blank => format!("{} blank\n", entry.id),
        LoggedPayload::Config(bytes) => format!("{} config {}\n", entry.id, text(bytes)),
        LoggedPayload::Effects(batch) => format!("{} {} effects\n", entry.id, batch.len()),
    });
    Ok(shown.collect())
}
