//! Documentation: transactions.

use super::{CommandDocs, Id, doc, key};

/// One for each command of the group.
pub const DOCS: &[CommandDocs] = &[
    doc(Id::Multi, "Mark the start of a transaction block", "1.2.0", "O(1)", &[]),
    doc(
        Id::Exec,
        "Execute all commands issued after MULTI",
        "1.2.0",
        "Depends on commands in the transaction",
        &[],
    ),
    doc(
        Id::Discard,
        "Discard all commands issued after MULTI",
        "2.0.0",
        "O(N), when N is the number of queued commands",
        &[],
    ),
    doc(
        Id::Watch,
        "Watch the given keys to determine execution of the MULTI/EXEC block",
        "2.2.0",
        "O(1) for every key.",
        &[key("key", 0).multiple()],
    ),
    doc(Id::Unwatch, "Forget about all watched keys", "2.2.0", "O(1)", &[]),
];
