//! What must hold at the end, when nothing has gone wrong for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use aryavarth::UnixMillis;
use aryavarth_check::{Answer, Request};
use aryavarth_replication::ShardId;
use tokio::time::Instant;

use super::clients::EXPIRING;
use super::expiry::{Deadline, Terms};
use super::history::{answered, begin};
use super::machine::{MachineId, Records};
use super::talk::{Connection, Refused, Subject, Told, Words, doubt};
use super::world::World;

/// The client that looks at the end.
const JUDGE: u64 = u64::MAX;
const SUBJECTS: u8 = 8;

/// How far the clocks are put behind all deadlines in the end, in milliseconds.
const LONG: u64 = 60_000;
/// How long it takes a healthy leader to take note of that.
const SOON: Duration = Duration::from_millis(1_000);

impl World {
    /// Judges the run.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) async fn judge(&mut self) -> Result<(), String> {
        self.check()?;
        self.await_leaders(self.elections()).await?;
        for shard in self.shards.clone() {
            self.serve_each(shard).await?;
        }
        self.end_replacements().await?;
        self.settle(super::world::LONG).await?;
        self.agree().await?;
        self.expire_all().await?;
        self.agree().await?;
        self.check()?;
        let mut calls = self.history.seen();
        calls.extend(self.history.deadlines().expiries(&calls, &self.clocks)?);
        aryavarth_check::check(&calls)
    }

    /// Whatever can expire does, once all clocks are behind all deadlines.
    async fn expire_all(&mut self) -> Result<(), String> {
        let mut latest = self.history.deadlines().latest().max(self.clocks.most());
        loop {
            let shown = latest + LONG;
            for machine in self.machines.values() {
                machine.disk().set_wall_clock(UnixMillis(shown));
            }
            self.note_clocks();
            tokio::time::sleep(SOON).await;
            match self.still_there().await? {
                None => return Ok(()),
                // It was written since: a request that nobody waits for any more had waited for a handover.
                Some((_, Some(Deadline::At(until)))) if until > shown => latest = until,
                Some((value, until)) => {
                    return Err(format!(
                        "the value {value} is there still, which was until {until:?}"
                    ));
                }
            }
        }
    }

    /// A value that can expire, and has not.
    async fn still_there(&mut self) -> Result<Option<(u64, Option<Deadline>)>, String> {
        for shard in self.shards.clone() {
            for number in 0..EXPIRING {
                let subject = Subject::expiring(self.around.sharding.most(), shard, number);
                let words = Words::Until(Terms::Forever);
                let told = self.insist(shard, &subject, Request::Read, words).await?;
                if let Answer::Value(Some(value)) = told.answer
                    && told.deadline != Some(Deadline::Never)
                {
                    return Ok(Some((value, told.deadline)));
                }
            }
        }
        Ok(None)
    }

    /// Each shard serves: a write first, then a read of every subject.
    async fn serve_each(&mut self, shard: ShardId) -> Result<(), String> {
        let subject =
            |world: &World, number| Subject::new(world.around.sharding.most(), shard, number);
        self.insist(shard, &subject(self, 0), Request::Add(1), Words::Plain).await?;
        for number in 0..SUBJECTS {
            self.insist(shard, &subject(self, number), Request::Read, Words::Plain).await?;
        }
        Ok(())
    }

    /// Asks whoever leads until there is an answer.
    async fn insist(
        &mut self,
        shard: ShardId,
        subject: &Subject,
        request: Request,
        words: Words,
    ) -> Result<Told, String> {
        let deadline = Instant::now() + self.elections();
        while Instant::now() < deadline {
            let call = begin(JUDGE, &subject.name, request, self.trace.now());
            let carrier = self.carrier(shard);
            let leader = self.machines.values().find(|machine| machine.leads_any(&[carrier]));
            if let Some(process) = leader.and_then(|machine| machine.process()) {
                let mut connection = Connection::new(&process.running.server);
                let asking = connection.request(subject, request, words);
                let patience = deadline - Instant::now();
                match tokio::time::timeout(patience, asking).await.unwrap_or(Err(doubt(request))) {
                    Ok(told) => {
                        let call = answered(call, told.answer, self.trace.now());
                        match words {
                            Words::Until(_) => self.history.add_until(call, told.deadline)?,
                            _ => self.history.add(call),
                        }
                        return Ok(told);
                    }
                    Err(Refused::Unknown) => self.history.add(call),
                    Err(Refused::Wrong(why)) => return Err(format!("a wrong answer: {why}")),
                    Err(Refused::Elsewhere(_) | Refused::NotNow) => {}
                }
            }
            tokio::time::sleep(super::world::TICK).await;
            self.check()?;
        }
        Err(format!("shard {shard} does not serve though all is well"))
    }

    /// All replicas come to have the same records, and who has none has no records.
    async fn agree(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + super::world::PATIENCE;
        while let Some(why) = self.lagging()? {
            if Instant::now() > deadline {
                return Err(why);
            }
            tokio::time::sleep(super::world::TICK).await;
            self.check()?;
        }
        let mut all: BTreeMap<ShardId, (MachineId, Records)> = BTreeMap::new();
        for machine in self.machines.values() {
            for (shard, records) in machine.records(self.clocks.horizon())? {
                let machine = machine.id;
                let (id, known) = all.entry(shard).or_insert_with(|| (machine, records.clone()));
                if *known != records {
                    let differs =
                        known.iter().find(|(key, value)| records.get(*key) != Some(value));
                    return Err(format!(
                        "machines {id} and {machine} differ in shard {shard}: {} and {} records, e.g. {differs:?}",
                        known.len(),
                        records.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// A replica that has not applied all that was committed, or one that was dropped and has left something behind.
    fn lagging(&self) -> Result<Option<String>, String> {
        let groups = self.groups().into_iter();
        for (shard, chosen) in groups.map(|shard| (shard, self.ledger.chosen(shard))) {
            for machine in self.machines.values() {
                let Some(group) = machine.group(shard) else { continue };
                if group.applied().map_or(0, |applied| applied.index.0 + 1) < chosen {
                    let machine = machine.id;
                    return Ok(Some(format!(
                        "machine {machine} does not catch up with shard {shard}"
                    )));
                }
            }
        }
        for machine in self.machines.values() {
            let records = machine.records(self.clocks.horizon())?;
            if let Some(shard) = records.keys().find(|shard| machine.group(**shard).is_none()) {
                let machine = machine.id;
                return Ok(Some(format!(
                    "machine {machine} has records of shard {shard} and no replica"
                )));
            }
        }
        Ok(None)
    }
}
