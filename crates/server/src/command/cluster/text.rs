//! What `CLUSTER HELP` says, and what is said of subcommands that Redis has and this server has not.

use crate::command::context::Context;
use crate::command::error::CommandResult;
use crate::command::help;
use crate::resp::{Args, Reply};

/// Redis' subcommands that make no sense here, and what does their work.
const REFUSED: &[(&str, &str)] = &[
    (
        "addslots addslotsrange delslots delslotsrange setslot flushslots",
        "shards own the slots, and are split and moved by themselves: see CLUSTER REBALANCE, \
         TRANSFER and DRAIN",
    ),
    (
        "failover",
        "shards elect their leaders by themselves; CLUSTER TRANSFER has another node lead",
    ),
    ("forget", "nodes are removed for all by CLUSTER REMOVE"),
    ("replicate", "shards choose their replicas by themselves: see CLUSTER REPLICATION-FACTOR"),
    (
        "reset",
        "a node leaves for good by CLUSTER DRAIN and CLUSTER REMOVE, and joins with an empty directory",
    ),
    ("saveconfig", "what a node knows of its cluster is on disk before it is acted upon"),
    ("bumpepoch set-config-epoch", "the meta group counts the changes of the topology by itself"),
    ("slot-stats", "keys are not counted by slot: see CLUSTER COUNTKEYSINSLOT"),
];

/// Why a subcommand is not here; none if Redis has none of that name either.
pub(in crate::command) fn refusal(subcommand: &[u8]) -> Option<&'static str> {
    let has =
        |names: &str| names.split(' ').any(|name| name.as_bytes().eq_ignore_ascii_case(subcommand));
    REFUSED.iter().find(|(names, _)| has(names)).map(|(_, reason)| *reason)
}

/// `CLUSTER HELP`
pub(in crate::command) fn help(
    _: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    help::write(
        reply,
        "CLUSTER",
        &[
            "COUNTKEYSINSLOT <slot>",
            "    Return the number of keys in <slot>.",
            "COUNT-FAILURE-REPORTS <node-id>",
            "    Return 1 if <node-id> cannot be reached, 0 if it can.",
            "DRAIN <node-id> [FORCE]",
            "    Move replicas and leaderships of <node-id> to other nodes. FORCE: though shards then",
            "    have fewer copies.",
            "GETKEYSINSLOT <slot> <count>",
            "    Return key names stored by current node in a slot.",
            "INFO",
            "    Return information about the cluster.",
            "KEYSLOT <key>",
            "    Return the hash slot for <key>.",
            "LINKS",
            "    Return information about all network links between this node and its peers.",
            "MEET <host> <port>",
            "    Have this node, which belongs to no cluster, join that of a member. The port is",
            "    that for peers.",
            "MYID",
            "    Return the node id.",
            "MYSHARDID",
            "    Return the node id: no other node follows this one in everything.",
            "NODES",
            "    Return cluster configuration seen by node. Output format:",
            "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link>",
            "    <slot> ...",
            "REBALANCE",
            "    Spread leaders again, without regard to earlier transfers.",
            "REMOVE <node-id> [FORCE|LOST]",
            "    As DRAIN, and remove it then; or remove a node that is lost for good.",
            "REPAIR <key>",
            "    Write the value of <key> again, so that every replica has an intact record of it.",
            "REPLICAS <node-id>",
            "    Return the nodes that follow in shards which <node-id> leads.",
            "REPLICATION-FACTOR <1|3|5>",
            "    Have each shard on so many nodes.",
            "SHARDS",
            "    Return information about slot range mappings and the nodes associated with them.",
            "SLOTS",
            "    Return information about slots range mappings. Each range is made of:",
            "    start, end, master and replicas IP addresses, ports and ids",
            "STATUS",
            "    Return nodes and shards with their figures, as JSON.",
            "TRANSFER <shard>|ALL <node-id>",
            "    Have <node-id> lead a shard, or all shards that it has a vote in.",
            "UNDRAIN <node-id>",
            "    Keep <node-id>, which is being drained.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn what_is_refused_is_not_there() {
        let cluster = table::find(b"cluster").unwrap();
        for name in REFUSED.iter().flat_map(|(names, _)| names.split(' ')) {
            assert!(table::find_subcommand(cluster, name.as_bytes()).is_none(), "{name}");
            assert!(refusal(name.to_uppercase().as_bytes()).is_some());
        }
        assert_eq!(refusal(b"slots"), None);
        assert_eq!(refusal(b"nothing"), None);
    }
}
