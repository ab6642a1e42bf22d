//! How large a cluster may be, as far as its topology, its placement and its reconciler go: prints the
//! tables of `docs/scale.md`.
//!
//! ```console
//! $ cargo run --release -p aryavarth-cluster --example scale
//! ```
//!
//! The first table is of clusters at rest: the bytes of the record that the meta group keeps, and the time of
//! the functions that are called for every change. The second is of clusters to which something happens:
//! what the reconciler does until all is as wanted again, in the model of `model.rs`. Times of functions are
//! of this machine, those of the model are not of any.

#![allow(clippy::disallowed_methods, reason = "it measures, so it needs the clock")]
#![allow(clippy::print_stdout, reason = "it prints tables")]

mod model;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aryavarth_cluster::{NodeState, Result, Topology, next_step, wanted};

use model::{Copying, LIMITS, Model, Run};

const FACTOR: u8 = 3;
/// Nodes and shards of the clusters.
const SIZES: [(u64, u16); 5] = [(3, 16), (9, 64), (30, 256), (100, 1024), (1000, 1024)];
/// 10 TB of user data over 1024 shards, copied at 100 MB/s a node.
const COPYING: Copying = Copying { shard_bytes: 10_000_000_000, node_rate: 100_000_000 };

fn main() -> Result<()> {
    at_rest()?;
    println!();
    happenings()
}

/// The quickest of some calls, as what interrupts them is not theirs.
fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let begun = Instant::now();
    let mut best = Duration::MAX;
    while best == Duration::MAX || begun.elapsed() < Duration::from_millis(300) {
        let from = Instant::now();
        black_box(call());
        best = best.min(from.elapsed());
    }
    best
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

fn at_rest() -> Result<()> {
    println!("At rest, replication factor {FACTOR}; times in ms.");
    println!(
        "| nodes | shards | record, bytes | encode | decode | validate | wanted | next_step |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (nodes, shards) in SIZES {
        let model = Model::at_rest(nodes, shards, FACTOR, COPYING)?;
        let topology = model.topology();
        let record = topology.encode();
        let observed = model.observed();
        let times = [
            time(|| topology.encode()),
            time(|| Topology::decode(&record)),
            time(|| topology.validate()),
            time(|| wanted(topology)),
            time(|| next_step(topology, &observed, LIMITS)),
        ];
        let times = times.map(ms).join(" | ");
        println!("| {nodes} | {shards} | {} | {times} |", record.len());
    }
    Ok(())
}

fn happenings() -> Result<()> {
    println!(
        "Until all is as wanted again; {} GB a shard, {} MB/s a node, {} copies a node at once.",
        COPYING.shard_bytes / 1_000_000_000,
        COPYING.node_rate / 1_000_000,
        LIMITS.copies_per_node
    );
    println!(
        "| nodes | shards | what | steps | of them logged | copies | at once | hand-overs | rounds | took, min | deciding, s | longest next_step, ms |"
    );
    println!("|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (nodes, shards) in SIZES {
        if nodes == 1000 {
            // A node of it has three replicas: what happens to one is no more than with 100.
            continue;
        }
        let row = |what: &str, run| row_of(&nodes.to_string(), shards, what, run);
        let fresh = || Model::at_rest(nodes, shards, FACTOR, COPYING);
        let mut model = fresh()?;
        let partners = model.partners(nodes / 2);
        model.die(nodes / 2);
        row(&format!("a node is lost that had {partners} partners"), model.settle()?);
        let mut model = fresh()?;
        model.join()?;
        row("a node is added", model.settle()?);
        let mut model = fresh()?;
        model.set_state(nodes / 2, NodeState::Draining)?;
        row("a node is drained", model.settle()?);
    }
    let mut model = Model::at_rest(90, 1024, FACTOR, COPYING)?;
    (90..100).try_for_each(|_| model.join())?;
    row_of("90 to 100", 1024, "ten nodes are added at once", model.settle()?);
    Ok(())
}

fn row_of(nodes: &str, shards: u16, what: &str, run: Run) {
    println!(
        "| {nodes} | {shards} | {what} | {} | {} | {} | {} | {} | {} | {:.1} | {:.2} | {} |",
        run.steps,
        run.logged,
        run.copies,
        run.most_copies,
        run.hand_overs,
        run.rounds,
        run.took.as_secs_f64() / 60.0,
        run.deciding.as_secs_f64(),
        ms(run.longest)
    );
}
