//! Golden scripts of a cluster: `tests/scripts/*.txt` hold what is done to nodes and asked of them, and what they
//! answer, as `redis-cli` shows it.
//!
//! ```text
//! # A remark.
//! !start 1 2 3                   starts nodes, one after the other; the first one founds the cluster
//! @2                             from here on, a connection to node 2
//! @2 reader                      another one
//! > GET name
//! "john doe"
//! ~> GET name                    again and again, until it is answered as the script says
//! "jane doe"
//! ```
//!
//! Machines are numbered in the order in which they join, and so are their nodes. Each script has a cluster of its own, in the simulation: time stands still but where something waits, and nothing
//! happens by chance. Where what changes from run to run is not the matter, `<any>`, `<98..100>` and `<lines>` stand for it. Directives:
//!
//! ```text
//! !shards 3                      before the first node, as are these: its shards,
//! !growing 8                     or one, split as nodes join, so many at most,
//! !factor 3                      on how many nodes each is to be,
//! !routing forward               and whether requests are passed on
//! !table                         nodes, and where the shards are; ~!table until it is as the script says
//! !wish transfer all 2           what `aryavarth cluster transfer|drain|undrain|remove|…` asks a node for
//! !ended 2                       whether it has ended by itself, and why
//! !crash 2                       loses its power; what was not synced is gone
//! !kill 2                        its process is killed
//! !pause 2, !resume 2            its process stands still; goes on
//! !cut 1 | 2 3                   nothing passes between these sides
//! !mend                          and all passes again
//! !sleep 5ms
//! ```

#![allow(clippy::unwrap_used)]

mod script;

use std::path::Path;

#[test]
fn clusters_answer_as_the_scripts_say() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    aryavarth_script::check(&scripts, script::run);
}
