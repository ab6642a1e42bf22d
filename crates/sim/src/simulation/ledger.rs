//! What Raft promises, checked from outside at every step.
//!
//! ```text
//!  replica    live     what its log says now          ─┐
//!             durable  what a power cut would leave    │ told by the watched store
//!             voice    the votes it gave              ─┘
//!  shard      known    (index, term) ─▶ contents and the term before: log matching
//!             chosen   index ─▶ (term, contents): once committed, for ever
//!             leaders  term ─▶ node
//! ```
//!
//! An entry is *chosen* when a replica first acts on its being committed. At that moment a majority of the
//! voters must have it on their disks, by what was synced and not by what anybody says. After that no
//! replica may act on another entry of that index, none that has it may drop it, and every leader of a term
//! after the one it was committed in must have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aryavarth::Effect;
use aryavarth_cluster::{ShardCount, Slot};
use aryavarth_replication::entry_log::{LoggedEntry, LoggedPayload, NewEntry, Payload};
use aryavarth_replication::simulation::{SeenVote, read_vote, read_voters};
use aryavarth_replication::{EntryId, EntryIndex, NodeId, ShardId, Term, split};
use aryavarth_server::cluster::reserved::is_reserved;

use super::trace::{Fnv, Trace};

type Voters = Vec<BTreeSet<NodeId>>;

/// An entry, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Seen {
    id: EntryId,
    contents: u64,
    voters: Option<Voters>,
    /// The last of the slots of keys of clients that it writes.
    last_slot: Option<u16>,
    /// The shard that it splits off.
    splits_off: Option<ShardId>,
}

impl Seen {
    /// An entry that is appended.
    pub fn new(entry: &NewEntry<'_>) -> Seen {
        let (contents, voters) = match entry.payload {
            Payload::Blank => (Fnv::default(), None),
            Payload::Effects(batch) => (effects(batch), None),
            Payload::Config(bytes) => (config(bytes), read_voters(bytes)),
        };
        let (last_slot, splits_off) = match entry.payload {
            Payload::Effects(batch) => (last_slot(batch), splits_off(batch)),
            _ => (None, None),
        };
        Seen { id: entry.id, contents: contents.value(), voters, last_slot, splits_off }
    }

    fn logged(entry: &LoggedEntry) -> Seen {
        let payload = match &entry.payload {
            LoggedPayload::Blank => Payload::Blank,
            LoggedPayload::Effects(batch) => Payload::Effects(batch),
            LoggedPayload::Config(bytes) => Payload::Config(bytes),
        };
        Seen::new(&NewEntry { id: entry.id, payload })
    }
}

fn keys(batch: &aryavarth::WriteBatch) -> impl Iterator<Item = &[u8]> {
    (0..batch.len()).map(|number| batch.operation(number).key)
}

fn last_slot(batch: &aryavarth::WriteBatch) -> Option<u16> {
    let of_clients = keys(batch).filter(|key| !is_reserved(key));
    of_clients.map(|key| Slot::of(key).number()).max()
}

/// The shard of which it says with whom it begins.
fn splits_off(batch: &aryavarth::WriteBatch) -> Option<ShardId> {
    let is_birth = |key: &&[u8]| split::shard_of(key).is_some_and(|of| *key == split::born_key(of));
    keys(batch).find(is_birth).and_then(split::shard_of)
}

fn effects(batch: &aryavarth::WriteBatch) -> Fnv {
    let mut hash = Fnv::default();
    for number in 0..batch.len() {
        let operation = batch.operation(number);
        hash.add(operation.key);
        match operation.effect {
            Effect::Set { value, .. } => {
                hash.add(b"=");
                hash.add(value);
            }
            Effect::Remove => hash.add(b"-"),
        }
    }
    hash
}

fn config(bytes: &[u8]) -> Fnv {
    let mut hash = Fnv::default();
    hash.add(bytes);
    hash
}

/// A log: entries behind a base.
#[derive(Clone, Debug, Default)]
struct View {
    /// All up to here is applied and gone from the log.
    base: Option<EntryId>,
    /// By index.
    entries: BTreeMap<u64, Seen>,
    vote: Option<SeenVote>,
}

impl View {
    fn base_index(&self) -> Option<u64> {
        self.base.map(|base| base.index.0)
    }

    fn last(&self) -> Option<EntryId> {
        self.entries.last_key_value().map(|(_, seen)| seen.id).or(self.base)
    }

    fn term_at(&self, index: u64) -> Option<Term> {
        let of_base = self.base.filter(|base| base.index.0 == index).map(|base| base.term);
        self.entries.get(&index).map(|seen| seen.id.term).or(of_base)
    }

    fn has(&self, index: u64, chosen: Chosen) -> bool {
        let kept = self.entries.get(&index).is_some_and(|seen| chosen.is(seen));
        kept || self.base_index() >= Some(index)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    term: Term,
    contents: u64,
    /// No earlier than the term whose leader committed it.
    committed_in: Option<Term>,
}

impl Chosen {
    fn of(seen: &Seen, by: &Replica) -> Chosen {
        let committed_in = by.live.vote.map(|vote| vote.term);
        Chosen { term: seen.id.term, contents: seen.contents, committed_in }
    }

    fn is(self, seen: &Seen) -> bool {
        seen.id.term == self.term && seen.contents == self.contents
    }
}

#[derive(Debug, Default)]
struct Replica {
    live: View,
    durable: View,
    /// Since the last sync: the first index that changed, and all entries that were appended.
    changed_from: Option<u64>,
    unsynced: BTreeSet<(u64, Term)>,
    /// The configuration of the base.
    base_voters: Option<Voters>,
    /// Up to before here it has acted on entries being committed.
    acted: u64,
    /// Whom it voted for, by what is on its disk.
    given: BTreeMap<Term, NodeId>,
    /// The entries in its log that split a shard off, and which.
    splits: BTreeMap<u64, ShardId>,
}

#[derive(Debug, Default)]
struct Shard {
    known: BTreeMap<(u64, Term), (u64, Option<Term>)>,
    /// The terms of those.
    terms: BTreeSet<Term>,
    chosen: Vec<Chosen>,
    leaders: BTreeMap<Term, NodeId>,
    replicas: BTreeMap<NodeId, Replica>,
}

/// All that was seen. Clones are the same.
#[derive(Clone, Debug)]
pub struct Ledger {
    state: Arc<Mutex<BTreeMap<ShardId, Shard>>>,
    trace: Trace,
    most: ShardCount,
}

/// Tells the trace, and whoever looks at it.
struct Scribe<'a> {
    trace: &'a Trace,
    node: NodeId,
    shard: ShardId,
}

impl Scribe<'_> {
    fn note(&self, what: fmt::Arguments<'_>) {
        self.trace.note(format_args!("n{} s{} {what}", self.node, self.shard));
    }

    fn violation(&self, what: fmt::Arguments<'_>) {
        self.trace.violation(format_args!("node {} shard {}: {what}", self.node, self.shard));
    }
}

impl Ledger {
    /// An empty one, of a cluster that may have so many shards.
    pub fn new(trace: Trace, most: ShardCount) -> Ledger {
        Ledger { state: Arc::default(), trace, most }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<ShardId, Shard>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, node: NodeId, shard: ShardId, act: impl FnOnce(&mut Shard, &Scribe<'_>)) {
        let mut state = self.state();
        act(state.entry(shard).or_default(), &Scribe { trace: &self.trace, node, shard });
    }

    /// How many entries of a shard were chosen.
    pub fn chosen(&self, shard: ShardId) -> u64 {
        self.state().get(&shard).map_or(0, |shard| shard.chosen.len() as u64)
    }

    /// How many terms had a leader, over all shards.
    pub fn leaders(&self) -> u64 {
        self.state().values().map(|shard| shard.leaders.len() as u64).sum()
    }

    /// A node appended an entry.
    pub fn appended(&self, node: NodeId, shard: ShardId, seen: &Seen) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("append {} {:016x}", seen.id, seen.contents));
            shard.append(node, seen, scribe);
            shard.check_slots(node, seen, self.most, scribe);
        });
    }

    /// A node is about to append entries.
    pub fn appending(&self, node: NodeId, shard: ShardId, entries: &[NewEntry<'_>]) {
        self.with(node, shard, |shard, _| {
            let ids = entries.iter().map(|entry| (entry.id.index.0, entry.id.term));
            shard.replicas.entry(node).or_default().unsynced.extend(ids);
        });
    }

    /// A node saved a vote.
    pub fn voted(&self, node: NodeId, shard: ShardId, bytes: &[u8]) {
        self.with(node, shard, |shard, scribe| match read_vote(bytes) {
            Some(vote) => {
                scribe.note(format_args!("vote {vote:?}"));
                shard.vote(node, vote, scribe);
            }
            None => scribe.violation(format_args!("its vote cannot be read")),
        });
    }

    /// A node acts on all up to `index` being committed.
    pub fn committed(&self, node: NodeId, shard: ShardId, index: EntryIndex) {
        self.with(node, shard, |shard, scribe| {
            let acted = shard.replicas.entry(node).or_default().acted;
            if index.0 >= acted {
                scribe.note(format_args!("committed {}", index.0));
                shard.commit(node, index.0, scribe);
            }
        });
    }

    /// A node dropped all after `last`.
    pub fn truncated(&self, node: NodeId, shard: ShardId, last: Option<EntryId>) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("truncated to {last:?}"));
            shard.truncate(node, last.map_or(0, |last| last.index.0 + 1), scribe);
        });
    }

    /// A node purged all up to `up_to`.
    pub fn purged(&self, node: NodeId, shard: ShardId, up_to: EntryId) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("purged {up_to}"));
            let held = shard.replicas.entry(node).or_default().live.last();
            if held.is_some_and(|last| last.index >= up_to.index) {
                shard.commit(node, up_to.index.0, scribe);
            }
            shard.rebase(node, up_to, scribe);
        });
    }

    /// A node has a snapshot at `base` in place of its log.
    pub fn reset(&self, node: NodeId, shard: ShardId, base: EntryId, config: &[u8]) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("reset to {base}"));
            let replica = shard.replicas.entry(node).or_default();
            let first = replica.live.base_index().map_or(0, |base| base + 1);
            replica.changed_from = Some(replica.changed_from.unwrap_or(first).min(first));
            // What it had and did not apply is gone, as far as the snapshot does not have it.
            let held_base =
                replica.live.entries.get(&base.index.0).is_some_and(|seen| seen.id == base);
            let dropped = replica.live.entries.split_off(&(base.index.0 + 1));
            if held_base && let Some(seen) = dropped.values().next() {
                scribe.violation(format_args!("a snapshot dropped {}, which follows it", seen.id));
            }
            replica.live.entries.clear();
            replica.base_voters = read_voters(config);
            for (index, seen) in dropped {
                if shard.chosen.get(place(index)).is_some_and(|chosen| chosen.is(&seen)) {
                    scribe.violation(format_args!("a snapshot dropped the committed {}", seen.id));
                }
            }
            shard.rebase(node, base, scribe);
        });
    }

    /// A split has made a node's replica of a shard: all begin alike.
    pub fn born(&self, node: NodeId, shard: ShardId, bytes: &[u8]) {
        self.with(node, shard, |shard, scribe| {
            let first =
                Chosen { term: Term(0), contents: config(bytes).value(), committed_in: None };
            match shard.chosen.first() {
                None => shard.chosen.push(first),
                Some(chosen) if *chosen == first => {}
                Some(_) => scribe.violation(format_args!("it did not begin as elsewhere")),
            }
            let replica = shard.replicas.entry(node).or_default();
            if replica.live.base.is_none() {
                scribe.note(format_args!("born {:016x}", first.contents));
                replica.live.base = Some(EntryId { term: Term(0), index: EntryIndex(0) });
                replica.base_voters = read_voters(bytes);
                replica.acted = 1;
                replica.touch(0);
            }
        });
    }

    /// A node has no replica of the shard any more.
    pub fn forgot(&self, node: NodeId, shard: ShardId) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("forgot"));
            // What it had, others must have by now; what it said, it has said.
            let replica = shard.replicas.entry(node).or_default();
            replica.live = View::default();
            replica.base_voters = None;
            replica.splits.clear();
            replica.acted = 0;
            replica.touch(0);
        });
    }

    /// All that a node has written is on its disk.
    pub fn synced(&self, node: NodeId) {
        self.trace.note(format_args!("n{node} synced"));
        for shard in self.state().values_mut() {
            if let Some(replica) = shard.replicas.get_mut(&node) {
                replica.sync();
            }
        }
    }

    /// What was found of a shard's log when a node was started.
    pub fn recovered(&self, node: NodeId, shard: ShardId, found: &Found) {
        self.with(node, shard, |shard, scribe| {
            scribe.note(format_args!("recovered {:?} {:?}", found.base, found.last()));
            shard.recover(node, found, scribe);
        });
    }
}

/// A shard's log as it was found.
#[derive(Debug)]
pub struct Found {
    /// The newest entry that is no longer kept.
    pub base: Option<EntryId>,
    /// All others.
    pub entries: Vec<LoggedEntry>,
    /// The vote, as bytes.
    pub vote: Option<Vec<u8>>,
    /// What is known to be committed.
    pub committed: Option<EntryId>,
    /// What is applied.
    pub applied: Option<EntryId>,
    /// Whether a power cut could take nothing of it.
    pub settled: Settled,
}

/// Whether what was found is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    OnDisk,
    /// Some of it may be in the memory of the machine only.
    InMemory,
}

impl Found {
    fn last(&self) -> Option<EntryId> {
        self.entries.last().map(|entry| entry.id).or(self.base)
    }
}

/// Whether a majority of one of the configurations is among `holders`.
fn is_held(configurations: &[&Voters], holders: &BTreeSet<NodeId>) -> bool {
    let quorum =
        |voters: &BTreeSet<NodeId>| 2 * voters.intersection(holders).count() > voters.len();
    configurations.iter().any(|sets| sets.iter().all(quorum))
}

fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

impl Replica {
    fn sync(&mut self) {
        if let Some(from) = self.changed_from.take() {
            self.durable.entries.split_off(&from);
            let changed = self.live.entries.range(from..);
            self.durable.entries.extend(changed.map(|(index, seen)| (*index, seen.clone())));
        }
        if self.durable.base != self.live.base {
            self.durable.base = self.live.base;
            if let Some(base) = self.live.base_index() {
                self.durable.entries = self.durable.entries.split_off(&(base + 1));
            }
        }
        self.durable.vote = self.live.vote;
        if let Some(vote) = self.live.vote.filter(|vote| !vote.won) {
            self.given.entry(vote.term).or_insert(vote.node);
        }
        self.unsynced.clear();
    }

    fn touch(&mut self, index: u64) {
        self.changed_from = Some(self.changed_from.unwrap_or(index).min(index));
    }

    /// The configurations that may govern the entry of this index.
    fn governing(&self, index: u64) -> Vec<&Voters> {
        let of = |seen: &'_ Seen| seen.voters.is_some();
        let before = self.live.entries.range(..=index).rev().find(|(_, seen)| of(seen));
        let before =
            before.and_then(|(_, seen)| seen.voters.as_ref()).or(self.base_voters.as_ref());
        let after =
            self.live.entries.range(index + 1..).filter_map(|(_, seen)| seen.voters.as_ref());
        before.into_iter().chain(after).collect()
    }
}

impl Shard {
    fn append(&mut self, node: NodeId, seen: &Seen, scribe: &Scribe<'_>) {
        let Seen { id, contents, .. } = *seen;
        let replica = self.replicas.entry(node).or_default();
        let index = id.index.0;
        let before = index.checked_sub(1).and_then(|before| replica.live.term_at(before));
        if before > Some(id.term) {
            scribe.violation(format_args!("{id} follows an entry of a later term"));
        }
        replica.live.entries.split_off(&index);
        replica.live.entries.insert(index, seen.clone());
        replica.touch(index);
        replica.unsynced.insert((index, id.term));
        match self.known.get(&(index, id.term)) {
            None => {
                let is_new = self.terms.insert(id.term);
                self.known.insert((index, id.term), (contents, before));
                if is_new && id.term > Term(0) {
                    self.lead(node, id.term, scribe);
                }
            }
            Some((known, _)) if *known != contents => {
                scribe.violation(format_args!("{id} is not the {id} that others have"));
            }
            Some((_, Some(known))) if before.is_some_and(|before| before != *known) => {
                scribe.violation(format_args!("another entry is before {id} than elsewhere"));
            }
            Some(_) => {}
        }
    }

    /// Behind a split nothing is written of what was split off.
    fn check_slots(&mut self, node: NodeId, seen: &Seen, most: ShardCount, scribe: &Scribe<'_>) {
        let replica = self.replicas.entry(node).or_default();
        let index = seen.id.index.0;
        replica.splits.split_off(&index);
        let end = |shard: &ShardId| most.slots_of(*shard).map(|slots| *slots.start());
        let first = replica.splits.values().filter_map(end).min();
        if let (Some(slot), Some(first)) = (seen.last_slot, first)
            && slot >= first
        {
            scribe.violation(format_args!("{} writes what was split off before", seen.id));
        }
        replica.splits.extend(seen.splits_off.map(|into| (index, into)));
    }

    /// A node appended the first entry of a term.
    fn lead(&mut self, node: NodeId, term: Term, scribe: &Scribe<'_>) {
        self.won(node, term, scribe);
        let Some(replica) = self.replicas.get(&node) else { return };
        for (index, chosen) in self.chosen.iter().enumerate() {
            if chosen.committed_in < Some(term) && !replica.live.has(index as u64, *chosen) {
                let id = EntryId { term: chosen.term, index: EntryIndex(index as u64) };
                return scribe
                    .violation(format_args!("it leads {term:?} without the committed {id}"));
            }
        }
    }

    fn won(&mut self, node: NodeId, term: Term, scribe: &Scribe<'_>) {
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            scribe.violation(format_args!("two nodes lead {term:?}: {leader} and {node}"));
        }
    }

    fn vote(&mut self, node: NodeId, vote: SeenVote, scribe: &Scribe<'_>) {
        let replica = self.replicas.entry(node).or_default();
        if let Some(old) = replica.live.vote {
            // Whoever voted for itself may learn that another has won.
            let same =
                if old.node == vote.node { old.won <= vote.won } else { !old.won && vote.won };
            if vote.term < old.term || (vote.term == old.term && !same) {
                scribe.violation(format_args!("its vote went from {old:?} to {vote:?}"));
            }
        }
        replica.live.vote = Some(vote);
        if vote.won {
            return self.won(vote.node, vote.term, scribe);
        }
        if let Some(given) = replica.given.get(&vote.term).filter(|given| **given != vote.node) {
            scribe.violation(format_args!("it voted for node {given} and now gives {vote:?}"));
        }
    }

    fn commit(&mut self, node: NodeId, up_to: u64, scribe: &Scribe<'_>) {
        let from = self.replicas.entry(node).or_default().acted;
        for index in from..=up_to {
            let Some(replica) = self.replicas.get(&node) else { return };
            let Some(seen) = replica.live.entries.get(&index) else {
                if replica.live.base_index() < Some(index) {
                    // The engine applies only what is there.
                    return;
                }
                continue;
            };
            match self.chosen.get(place(index)) {
                Some(chosen) if chosen.is(seen) => {}
                Some(chosen) => {
                    let (id, term) = (seen.id, chosen.term);
                    scribe.violation(format_args!(
                        "{id} is acted on, but that of {term:?} is committed"
                    ));
                }
                None if self.chosen.len() as u64 == index => {
                    self.choose(replica, seen, scribe);
                    let chosen = Chosen::of(seen, replica);
                    self.chosen.push(chosen);
                }
                None => scribe
                    .violation(format_args!("{} is acted on before what precedes it", seen.id)),
            }
            self.replicas.entry(node).or_default().acted = index + 1;
        }
    }

    /// Whether a majority has an entry on the disk that is acted on for the first time.
    fn choose(&self, replica: &Replica, seen: &Seen, scribe: &Scribe<'_>) {
        let index = seen.id.index.0;
        let holders = self.holders(index, Chosen::of(seen, replica));
        if !is_held(&replica.governing(index), &holders) {
            scribe.violation(format_args!(
                "{} is taken for committed, but only {holders:?} have it on their disks",
                seen.id
            ));
        }
    }

    /// Who has an entry on the disk.
    fn holders(&self, index: u64, chosen: Chosen) -> BTreeSet<NodeId> {
        let has = |(_, replica): &(&NodeId, &Replica)| replica.durable.has(index, chosen);
        self.replicas.iter().filter(has).map(|(node, _)| *node).collect()
    }

    fn truncate(&mut self, node: NodeId, from: u64, scribe: &Scribe<'_>) {
        let replica = self.replicas.entry(node).or_default();
        let voters: Vec<Voters> = replica.governing(from).into_iter().cloned().collect();
        let acted = replica.acted;
        let dropped = replica.live.entries.split_off(&from);
        replica.touch(from);
        for (index, seen) in dropped {
            let Some(chosen) = self.chosen.get(place(index)).filter(|chosen| chosen.is(&seen))
            else {
                continue;
            };
            // Before a snapshot comes in place of a log that differs from it, all is dropped that the node
            // does not know to be committed: others have it.
            let mut holders = self.holders(index, *chosen);
            holders.remove(&node);
            if index < acted || !is_held(&voters.iter().collect::<Vec<_>>(), &holders) {
                scribe.violation(format_args!("the committed {} was truncated", seen.id));
            }
        }
    }

    fn rebase(&mut self, node: NodeId, base: EntryId, scribe: &Scribe<'_>) {
        match self.chosen.get(place(base.index.0)) {
            Some(chosen) if chosen.term == base.term => {}
            _ => scribe.violation(format_args!("{base} is purged and was not committed")),
        }
        let replica = self.replicas.entry(node).or_default();
        let governing = replica.governing(base.index.0).first().map(|voters| (*voters).clone());
        replica.base_voters = governing.or(replica.base_voters.take());
        replica.live.base = Some(base);
        replica.live.entries = replica.live.entries.split_off(&(base.index.0 + 1));
        replica.acted = replica.acted.max(base.index.0 + 1);
    }

    fn recover(&mut self, node: NodeId, found: &Found, scribe: &Scribe<'_>) {
        let entries = found.entries.iter().map(|entry| (entry.id.index.0, Seen::logged(entry)));
        let vote = found.vote.as_deref().and_then(read_vote);
        let live = View { base: found.base, entries: entries.collect(), vote };
        let committed = found.committed.max(found.applied);
        if let Some(id) = committed {
            match self.chosen.get(place(id.index.0)) {
                Some(chosen) if chosen.term == id.term => {}
                _ => scribe.violation(format_args!("{id} was found applied and was not committed")),
            }
        }
        let replica = self.replicas.entry(node).or_default();
        replica.check_recovered(&live, scribe);
        replica.live = live;
        replica.acted = committed.map_or(0, |id| id.index.0 + 1);
        match found.settled {
            Settled::OnDisk => {
                replica.changed_from = Some(0);
                replica.sync();
            }
            Settled::InMemory => {
                replica.touch(0);
                let ids = replica.live.entries.values().map(|seen| (seen.id.index.0, seen.id.term));
                replica.unsynced.extend(ids);
            }
        }
    }
}

impl Replica {
    /// All that was on the disk must be there, and nothing that was taken back.
    fn check_recovered(&self, found: &View, scribe: &Scribe<'_>) {
        if found.vote.map(|vote| vote.term) < self.durable.vote.map(|vote| vote.term) {
            let (then, now) = (self.durable.vote, found.vote);
            scribe.violation(format_args!("its vote was {then:?} on disk and is {now:?}"));
        }
        if found.base < self.durable.base {
            let (then, now) = (self.durable.base, found.base);
            scribe.violation(format_args!("it had purged up to {then:?} and has up to {now:?}"));
        }
        let first = found.base_index().map_or(0, |base| base + 1);
        let unchanged = self.changed_from.unwrap_or(u64::MAX);
        for (index, seen) in self.durable.entries.range(first..unchanged.max(first)) {
            if found.entries.get(index).is_none_or(|found| found.id != seen.id) {
                scribe.violation(format_args!("{} was on its disk and is gone", seen.id));
            }
        }
        for (index, seen) in &found.entries {
            let same = |view: &View| view.entries.get(index).is_some_and(|held| held.id == seen.id);
            let held = same(&self.durable) || same(&self.live);
            if !held && !self.unsynced.contains(&(*index, seen.id.term)) {
                scribe.violation(format_args!("{} was truncated and is back", seen.id));
            }
        }
    }
}
