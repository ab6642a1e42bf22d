//! Faults drawn by lot, one after the other and two at a time, on three nodes and on five, until the time is up.
//!
//! `ARYAVARTH_FAULTS=minutes[,seed]` says for how long, and with which seed; without a seed it is drawn, and
//! told. The seed says which faults come in which order; it does not say what the processes make of them.
//!
//! ```console
//! $ ARYAVARTH_FAULTS=30 cargo test --workspace --test cluster -- faults_at_random --nocapture
//! ```

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::disks::{Slowness, SmallDisk};
use crate::lines::Weather;
use crate::load::Load;
use crate::network::Network;
use crate::nodes::Cluster;
use crate::tell;

/// How long it takes if nobody says anything else.
const SHORT: Duration = Duration::from_secs(12);
/// In how much time all shards serve when nothing is wrong any more.
const BOUND: Duration = Duration::from_secs(40);
/// Rounds on one cluster: its history is judged at once, and kept in memory until then.
const ROUNDS: u32 = 12;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// What goes wrong. Each concerns a minority.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Pause,
    Restart,
    KillAll,
    /// Cut off from all others.
    Alone,
    /// Not heard by the others.
    Mute,
    /// Hears no other.
    Deaf,
    /// Out of reach, for clients too.
    Unplugged,
    /// Two do not hear one another, and the others hear both.
    Pair,
    Weather(Weather),
    FullDisk,
    SlowDisk,
}

const FAULTS: [Fault; 17] = [
    Fault::Kill,
    Fault::Pause,
    Fault::Restart,
    Fault::KillAll,
    Fault::Alone,
    Fault::Mute,
    Fault::Deaf,
    Fault::Unplugged,
    Fault::Pair,
    Fault::Weather(Weather::Late(Duration::from_millis(40))),
    Fault::Weather(Weather::Lossy(40)),
    Fault::Weather(Weather::Narrow(200_000)),
    Fault::Weather(Weather::Dead),
    Fault::Weather(Weather::Breaking(60)),
    Fault::Weather(Weather::Noisy(200)),
    Fault::FullDisk,
    Fault::SlowDisk,
];

/// A cluster that things happen to.
struct Patient {
    cluster: Cluster,
    /// The disk of the last node, which can be filled.
    disk: SmallDisk,
    slow: Option<Slowness>,
    nodes: usize,
}

impl Patient {
    fn new(nodes: usize) -> Option<Patient> {
        let network = Network::with_lines(nodes)?;
        let cluster = Cluster::plan(nodes, 4).on(network);
        let disk = SmallDisk::mount(&cluster.store(nodes - 1), 192)?;
        Some(Patient { cluster: cluster.begun(), disk, slow: None, nodes })
    }

    fn others(&self, node: usize) -> impl Iterator<Item = usize> {
        (0..self.nodes).filter(move |other| *other != node)
    }

    /// Between a node and the others lines are so, on which it asks, or on which it is asked.
    fn set(&self, node: usize, asks: Option<Weather>, is_asked: Option<Weather>) {
        let lines = self.cluster.network().lines.as_ref().unwrap();
        for other in self.others(node) {
            asks.into_iter().for_each(|weather| lines.set(node, other, weather));
            is_asked.into_iter().for_each(|weather| lines.set(other, node, weather));
        }
    }

    fn begin(&mut self, fault: Fault, node: usize) {
        let dead = Some(Weather::Dead);
        match fault {
            Fault::Kill => self.cluster.kill(node),
            Fault::Pause => self.cluster.signal(node, "-STOP"),
            Fault::Restart => {
                assert_eq!(self.cluster.stop(node), Some(0), "{}", self.cluster.said(node));
            }
            Fault::KillAll => (0..self.nodes).for_each(|node| self.cluster.kill(node)),
            Fault::Alone => self.set(node, dead, dead),
            Fault::Mute => self.set(node, dead, None),
            Fault::Deaf => self.set(node, None, dead),
            Fault::Unplugged => self.cluster.network().unplug(node),
            Fault::Pair => {
                let lines = self.cluster.network().lines.as_ref().unwrap();
                let other = (node + 1) % self.nodes;
                lines.set(node, other, Weather::Dead);
                lines.set(other, node, Weather::Dead);
            }
            Fault::Weather(weather) => self.set(node, Some(weather), Some(weather)),
            Fault::FullDisk => self.disk.fill(),
            Fault::SlowDisk => {
                self.slow = Slowness::of(&self.cluster.process(node), 100_000);
            }
        }
    }

    fn end(&mut self, fault: Fault, node: usize) {
        match fault {
            Fault::Kill | Fault::Restart => self.cluster.run(node),
            Fault::Pause => self.cluster.signal(node, "-CONT"),
            Fault::KillAll => (0..self.nodes).for_each(|node| self.cluster.run(node)),
            Fault::Unplugged => self.cluster.network().plug(node),
            Fault::FullDisk => self.disk.free(),
            Fault::SlowDisk => self.slow = None,
            _ => self.cluster.network().lines.as_ref().unwrap().set_all(Weather::Clear),
        }
    }
}

/// For how long, and from which seed.
fn wanted() -> (Duration, u64) {
    let drawn = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    let Ok(wanted) = std::env::var("ARYAVARTH_FAULTS") else { return (SHORT, drawn) };
    let (minutes, seed) = wanted.split_once(',').unwrap_or((&wanted, ""));
    let minutes: u64 = minutes.parse().expect("ARYAVARTH_FAULTS=minutes[,seed]");
    (Duration::from_secs(60 * minutes), seed.parse().unwrap_or(drawn))
}

#[test]
fn faults_at_random() {
    let (time, seed) = wanted();
    tell(&format!("random faults for {time:?}: ARYAVARTH_FAULTS={},{seed}", time.as_secs() / 60));
    let (begun, mut random) = (Instant::now(), Random(seed));
    let mut nodes = 3;
    while begun.elapsed() < time {
        let Some(mut patient) = Patient::new(nodes) else { return };
        let load = Load::start(&patient.cluster);
        for _ in 0..ROUNDS {
            load.await_all_written(BOUND);
            let (fault, node) = (FAULTS[random.below(FAULTS.len())], random.below(nodes));
            let lasts = Duration::from_millis(300 + 100 * random.below(30) as u64);
            tell(&format!(
                "{:?} of {nodes}: {fault:?} at node {node} for {lasts:?}",
                begun.elapsed()
            ));
            patient.begin(fault, node);
            std::thread::sleep(lasts);
            patient.end(fault, node);
            if begun.elapsed() > time {
                break;
            }
        }
        load.await_all_written(BOUND);
        load.judge(&patient.cluster);
        nodes = 8 - nodes;
    }
}
