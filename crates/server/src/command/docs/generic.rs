//! Documentation: commands on keys of any type.

use super::{CommandDocs, Id, doc, integer, key, one_of, pattern, string, token, unix_time};

/// One for each command of the group.
pub const DOCS: &[CommandDocs] = &[
    doc(
        Id::Del,
        "Delete a key",
        "1.0.0",
        "O(N) where N is the number of keys that will be removed. When a key to remove \
         holds a value other than a string, the individual complexity for this key is \
         O(M) where M is the number of elements in the list, set, sorted set or hash. \
         Removing a single key that holds a string value is O(1).",
        &[key("key", 0).multiple()],
    ),
    doc(
        Id::Unlink,
        "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but \
         non blocking.",
        "4.0.0",
        "O(1) for each key removed regardless of its size. Then the command does O(N) \
         work in a different thread in order to reclaim memory, where N is the number of \
         allocations the deleted objects where composed of.",
        &[key("key", 0).multiple()],
    ),
    doc(
        Id::Exists,
        "Determine if a key exists",
        "1.0.0",
        "O(N) where N is the number of keys to check.",
        &[key("key", 0).multiple()],
    ),
    doc(Id::Type, "Determine the type stored at key", "1.0.0", "O(1)", &[key("key", 0)]),
    doc(
        Id::Expire,
        "Set a key's time to live in seconds",
        "1.0.0",
        "O(1)",
        &[
            key("key", 0),
            integer("seconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    doc(
        Id::PExpire,
        "Set a key's time to live in milliseconds",
        "2.6.0",
        "O(1)",
        &[
            key("key", 0),
            integer("milliseconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    doc(
        Id::ExpireAt,
        "Set the expiration for a key as a UNIX timestamp",
        "1.2.0",
        "O(1)",
        &[
            key("key", 0),
            unix_time("unix-time-seconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    doc(
        Id::PExpireAt,
        "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
        "2.6.0",
        "O(1)",
        &[
            key("key", 0),
            unix_time("unix-time-milliseconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    doc(Id::Ttl, "Get the time to live for a key in seconds", "1.0.0", "O(1)", &[key("key", 0)]),
    doc(
        Id::PTtl,
        "Get the time to live for a key in milliseconds",
        "2.6.0",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::ExpireTime,
        "Get the expiration Unix timestamp for a key",
        "7.0.0",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::PExpireTime,
        "Get the expiration Unix timestamp for a key in milliseconds",
        "7.0.0",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(Id::Persist, "Remove the expiration from a key", "2.2.0", "O(1)", &[key("key", 0)]),
    doc(Id::Rename, "Rename a key", "1.0.0", "O(1)", &[key("key", 0), key("newkey", 1)]),
    doc(
        Id::RenameNx,
        "Rename a key, only if the new key does not exist",
        "1.0.0",
        "O(1)",
        &[key("key", 0), key("newkey", 1)],
    ),
    doc(
        Id::Copy,
        "Copy a key",
        "6.2.0",
        "O(N) worst case for collections, where N is the number of nested items. O(1) for \
         string values.",
        &[
            key("source", 0),
            key("destination", 1),
            integer("destination-db").token("DB").optional(),
            token("replace", "REPLACE").optional(),
        ],
    ),
    doc(
        Id::Keys,
        "Find all keys matching the given pattern",
        "1.0.0",
        "O(N) with N being the number of keys in the database, under the assumption that \
         the key names in the database and the given pattern have limited length.",
        &[pattern("pattern")],
    ),
    doc(
        Id::Scan,
        "Incrementally iterate the keys space",
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command \
         calls for the cursor to return back to 0. N is the number of elements inside the \
         collection.",
        &[
            integer("cursor"),
            pattern("pattern").token("MATCH").optional(),
            integer("count").token("COUNT").optional(),
            string("type").token("TYPE").optional().since("6.0.0"),
        ],
    ),
    doc(Id::RandomKey, "Return a random key from the keyspace", "1.0.0", "O(1)", &[]),
    doc(
        Id::Touch,
        "Alters the last access time of a key(s). Returns the number of existing keys \
         specified.",
        "3.2.1",
        "O(N) where N is the number of keys that will be touched.",
        &[key("key", 0).multiple()],
    ),
    doc(
        Id::Object,
        "A container for object introspection commands",
        "2.2.3",
        "Depends on subcommand.",
        &[],
    ),
    doc(
        Id::ObjectEncoding,
        "Inspect the internal encoding of a Redis object",
        "2.2.3",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::ObjectFreq,
        "Get the logarithmic access frequency counter of a Redis object",
        "4.0.0",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(Id::ObjectHelp, "Show helpful text about the different subcommands", "6.2.0", "O(1)", &[]),
    doc(
        Id::ObjectIdleTime,
        "Get the time since a Redis object was last accessed",
        "2.2.3",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::ObjectRefCount,
        "Get the number of references to the value of the key",
        "2.2.3",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::Dump,
        "Return a serialized version of the value stored at the specified key.",
        "2.6.0",
        "O(1) to access the key and additional O(N*M) to serialize it, where N is the \
         number of Redis objects composing the value and M their average size. For small \
         string values the time complexity is thus O(1)+O(1*M) where M is small, so \
         simply O(1).",
        &[key("key", 0)],
    ),
    doc(
        Id::Restore,
        "Create a key using the provided serialized value, previously obtained using DUMP.",
        "2.6.0",
        "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
         value, where N is the number of Redis objects composing the value and M their \
         average size. For small string values the time complexity is thus O(1)+O(1*M) \
         where M is small, so simply O(1). However for sorted set values the complexity \
         is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
        &[
            key("key", 0),
            integer("ttl"),
            string("serialized-value"),
            token("replace", "REPLACE").optional().since("3.0.0"),
            token("absttl", "ABSTTL").optional().since("5.0.0"),
            integer("seconds").token("IDLETIME").optional().since("5.0.0"),
            integer("frequency").token("FREQ").optional().since("5.0.0"),
        ],
    ),
    doc(
        Id::Wait,
        "Wait for the synchronous replication of all the write commands sent in the \
         context of the current connection",
        "3.0.0",
        "O(1)",
        &[integer("numreplicas"), integer("timeout")],
    ),
    doc(
        Id::WaitAof,
        "Wait until all writes of the connection are synced to the disk of this server \
         and of replicas",
        "7.2.0",
        "O(1)",
        &[integer("numlocal"), integer("numreplicas"), integer("timeout")],
    ),
];
