//! Clients that ask and wait, until the time is over.

use std::future::Future;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::cluster::{Routing, Shared, WireClient};
use crate::data::{Keys, Random, Values};
use crate::etcd::EtcdClient;
use crate::options::{Options, Peer, Work};
use crate::tally::{Successes, Tally};
use crate::usage::Usage;

/// How often it looks whether it was told to end.
const LOOK: Duration = Duration::from_millis(20);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub key: Vec<u8>,
    /// To be set; none for a get.
    pub value: Option<Vec<u8>>,
}

/// Somebody who asks a cluster, with one batch under way.
pub trait Client: Send + 'static {
    /// Has all of them done, trying again what failed; says how many succeeded, and notes the rest.
    fn carry_out(
        &mut self,
        batch: &[Request],
        tally: &mut Tally,
    ) -> impl Future<Output = usize> + Send;

    /// Whether two keys may be asked for in one batch.
    fn together(&self, _one: &[u8], _other: &[u8]) -> bool {
        true
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
pub struct Report {
    peer: String,
    work: String,
    clients: usize,
    pipeline: usize,
    seconds: f64,
    ops: u64,
    ops_per_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    longest_gap_ms: u64,
    errors: u64,
    first_error: Option<String>,
    redirects: u64,
    refused: u64,
    lost: u64,
    missing: u64,
    client_cpu_seconds: Option<f64>,
    /// In the order of `--pid`; null for a process that was not there at both ends.
    servers: Vec<Option<Usage>>,
    /// When the part that counts began, in ms since 1970.
    began_unix_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<u64>>,
}

/// What all clients of a run share.
struct Plan {
    options: Options,
    /// When what is done begins to count.
    counts: Instant,
    /// When it ends at the latest.
    end: Instant,
    /// When it was told to end.
    told: OnceLock<Instant>,
    successes: Successes,
    /// The next key of a fill.
    next: AtomicU64,
    keys: Keys,
    values: Values,
}

pub async fn run(options: &Options) -> Result<Report, String> {
    let plan = Arc::new(Plan::new(options));
    match options.peer {
        Peer::Etcd => {
            let make = |number| EtcdClient::new(options, number);
            let clients = (0..options.clients).map(make).collect::<Result<_, _>>()?;
            drive(&plan, clients).await
        }
        Peer::Cluster | Peer::Redis => {
            let routing = match options.peer {
                Peer::Cluster => Routing::Slots,
                _ => Routing::OneNode,
            };
            let shared = Shared::discover(options, routing).await?;
            let clients = (0..options.clients).map(|_| WireClient::new(Arc::clone(&shared)));
            drive(&plan, clients.collect()).await
        }
    }
}

impl Plan {
    fn new(options: &Options) -> Plan {
        let counts = Instant::now() + Duration::from_secs_f64(options.warm_up);
        let length = Duration::from_secs_f64(options.seconds);
        Plan {
            options: options.clone(),
            counts,
            end: counts + length,
            told: OnceLock::new(),
            successes: Successes::new(counts, length + options.patience()),
            next: AtomicU64::new(0),
            keys: Keys { size: options.key_size },
            values: Values::new(options.value_size),
        }
    }

    fn is_over(&self) -> bool {
        self.told.get().is_some() || Instant::now() >= self.end
    }

    /// When it ended, or will.
    fn ended(&self) -> Instant {
        self.told.get().map_or(self.end, |told| (*told).clamp(self.counts, self.end))
    }

    /// Has the standard input say when to end.
    fn listen(self: &Arc<Self>) {
        let plan = Arc::clone(self);
        // Not a task of the runtime, which would wait for it at the end.
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while std::io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
            plan.told.get_or_init(Instant::now);
        });
    }

    /// The next batch of a client; none when all is done.
    fn batch(&self, client: &impl Client, random: &mut Random) -> Option<Vec<Request>> {
        if self.is_over() {
            return None;
        }
        let count = self.options.pipeline as u64;
        let mut batch = Vec::with_capacity(self.options.pipeline);
        if self.options.work == Work::Fill {
            let first = self.next.fetch_add(count, Ordering::Relaxed);
            let numbers = first..(first + count).min(self.options.keys);
            batch.extend(numbers.map(|number| self.request(self.keys.key(number), random)));
            return (!batch.is_empty()).then_some(batch);
        }
        let mut tries = 0;
        while batch.len() < self.options.pipeline {
            let key = self.keys.key(random.below(self.options.keys));
            tries += 1;
            let fits = |first: &Request| client.together(&first.key, &key);
            // A node that owns next to nothing must not keep a client drawing forever.
            if batch.first().is_none_or(fits) || tries > 100 * self.options.pipeline {
                batch.push(self.request(key, random));
            }
        }
        Some(batch)
    }

    fn request(&self, key: Vec<u8>, random: &mut Random) -> Request {
        let value = (self.options.work != Work::Get).then(|| self.values.value(random));
        Request { key, value }
    }

    /// One client's part.
    async fn work<C: Client>(self: Arc<Self>, mut client: C, seed: u64) -> Tally {
        let mut random = Random::new(seed);
        let (mut counted, mut warming) = (Tally::default(), Tally::default());
        while let Some(batch) = self.batch(&client, &mut random) {
            let begun = Instant::now();
            let tally = if begun >= self.counts { &mut counted } else { &mut warming };
            let done = client.carry_out(&batch, tally).await;
            let ended = Instant::now();
            tally.latencies.add(ended - begun, done as u64);
            if begun >= self.counts {
                self.successes.add(ended, done as u32);
            }
        }
        counted
    }
}

/// What the given processes, and this one, have used so far.
fn usages(options: &Options) -> (Vec<Option<Usage>>, Option<Usage>) {
    let servers = options.pids.iter().map(|&pid| Usage::of(pid)).collect();
    (servers, Usage::of(std::process::id()))
}

async fn drive<C: Client>(plan: &Arc<Plan>, clients: Vec<C>) -> Result<Report, String> {
    if plan.options.until_eof {
        plan.listen();
    }
    let mut random = Random::new(plan.options.seed);
    let work = |client| tokio::spawn(Arc::clone(plan).work(client, random.draw()));
    let tasks: Vec<_> = clients.into_iter().map(work).collect();
    tokio::time::sleep_until(plan.counts.into()).await;
    let began_unix_ms =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    let before = usages(&plan.options);
    let is_fill = plan.options.work == Work::Fill;
    while !is_fill && !plan.is_over() {
        let left = plan.end.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(LOOK)).await;
    }
    // Before what is still under way, which does not count.
    let at_end = (!is_fill).then(|| usages(&plan.options));
    let mut tally = Tally::default();
    for task in tasks {
        tally.merge(task.await.map_err(|error| format!("a client failed: {error}"))?);
    }
    let after = at_end.unwrap_or_else(|| usages(&plan.options));
    let elapsed = plan.counts.elapsed();
    if is_fill && plan.next.load(Ordering::Relaxed) < plan.options.keys {
        return Err("the fill took longer than --seconds".to_owned());
    }
    let length = if is_fill { elapsed } else { plan.ended() - plan.counts };
    Ok(report(plan, &tally, length, began_unix_ms, &before, &after))
}

fn report(
    plan: &Plan,
    tally: &Tally,
    length: Duration,
    began_unix_ms: u64,
    before: &(Vec<Option<Usage>>, Option<Usage>),
    after: &(Vec<Option<Usage>>, Option<Usage>),
) -> Report {
    let options = &plan.options;
    let ops = match options.work {
        Work::Fill => tally.latencies.count(),
        _ => plan.successes.timeline(length, u64::MAX).iter().sum(),
    };
    let used = |before: Option<Usage>, after: Option<Usage>| Some(after?.since(before?));
    let servers = before.0.iter().zip(&after.0).map(|(before, after)| used(*before, *after));
    Report {
        peer: format!("{:?}", options.peer).to_lowercase(),
        work: format!("{:?}", options.work).to_lowercase(),
        clients: options.clients,
        pipeline: options.pipeline,
        seconds: length.as_secs_f64(),
        ops,
        ops_per_s: ops as f64 / length.as_secs_f64(),
        p50_ms: tally.latencies.quantile_ms(0.5),
        p95_ms: tally.latencies.quantile_ms(0.95),
        p99_ms: tally.latencies.quantile_ms(0.99),
        max_ms: tally.latencies.max_ms(),
        longest_gap_ms: plan.successes.longest_gap(length),
        errors: tally.errors,
        first_error: tally.first_error.clone(),
        redirects: tally.redirects,
        refused: tally.refused,
        lost: tally.lost,
        missing: tally.missing,
        client_cpu_seconds: used(before.1, after.1).map(|usage| usage.cpu_seconds),
        servers: servers.collect(),
        began_unix_ms,
        timeline: options.timeline.map(|interval| plan.successes.timeline(length, interval)),
    }
}
