//! Documentation: commands on strings.

use super::{CommandDocs, Id, block, doc, double, integer, key, one_of, string, token, unix_time};

/// One for each command of the group.
pub const DOCS: &[CommandDocs] = &[
    doc(Id::Get, "Get the value of a key", "1.0.0", "O(1)", &[key("key", 0)]),
    doc(
        Id::Set,
        "Set the string value of a key",
        "1.0.0",
        "O(1)",
        &[
            key("key", 0),
            string("value"),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional().since("2.6.12"),
            token("get", "GET").optional().since("6.2.0"),
            one_of(
                "expiration",
                &[
                    integer("seconds").token("EX").since("2.6.12"),
                    integer("milliseconds").token("PX").since("2.6.12"),
                    unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                    unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                    token("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::SetNx,
        "Set the value of a key, only if the key does not exist",
        "1.0.0",
        "O(1)",
        &[key("key", 0), string("value")],
    ),
    doc(
        Id::SetEx,
        "Set the value and expiration of a key",
        "2.0.0",
        "O(1)",
        &[key("key", 0), integer("seconds"), string("value")],
    ),
    doc(
        Id::PSetEx,
        "Set the value and expiration in milliseconds of a key",
        "2.6.0",
        "O(1)",
        &[key("key", 0), integer("milliseconds"), string("value")],
    ),
    doc(
        Id::GetSet,
        "Set the string value of a key and return its old value",
        "1.0.0",
        "O(1)",
        &[key("key", 0), string("value")],
    )
    .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    doc(Id::GetDel, "Get the value of a key and delete the key", "6.2.0", "O(1)", &[key("key", 0)]),
    doc(
        Id::GetEx,
        "Get the value of a key and optionally set its expiration",
        "6.2.0",
        "O(1)",
        &[
            key("key", 0),
            one_of(
                "expiration",
                &[
                    integer("seconds").token("EX"),
                    integer("milliseconds").token("PX"),
                    unix_time("unix-time-seconds").token("EXAT"),
                    unix_time("unix-time-milliseconds").token("PXAT"),
                    token("persist", "PERSIST"),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::MGet,
        "Get the values of all the given keys",
        "1.0.0",
        "O(N) where N is the number of keys to retrieve.",
        &[key("key", 0).multiple()],
    ),
    doc(
        Id::MSet,
        "Set multiple keys to multiple values",
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        &[block("key_value", &[key("key", 0), string("value")]).multiple()],
    ),
    doc(
        Id::MSetNx,
        "Set multiple keys to multiple values, only if none of the keys exist",
        "1.0.1",
        "O(N) where N is the number of keys to set.",
        &[block("key_value", &[key("key", 0), string("value")]).multiple()],
    ),
    doc(
        Id::MSetEx,
        "Set the values and a common expiration of one or more keys",
        "8.4.0",
        "O(N) where N is the number of keys to set.",
        &[
            integer("numkeys"),
            block("data", &[key("key", 0), string("value")]).multiple(),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional(),
            one_of(
                "expiration",
                &[
                    integer("seconds").token("EX"),
                    integer("milliseconds").token("PX"),
                    unix_time("unix-time-seconds").token("EXAT"),
                    unix_time("unix-time-milliseconds").token("PXAT"),
                    token("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::Append,
        "Append a value to a key",
        "2.0.0",
        "O(1). The amortized time complexity is O(1) assuming the appended value is small \
         and the already present value is of any size, since the dynamic string library \
         used by Redis will double the free space available on every reallocation.",
        &[key("key", 0), string("value")],
    ),
    doc(
        Id::StrLen,
        "Get the length of the value stored in a key",
        "2.2.0",
        "O(1)",
        &[key("key", 0)],
    ),
    doc(
        Id::GetRange,
        "Get a substring of the string stored at a key",
        "2.4.0",
        "O(N) where N is the length of the returned string. The complexity is ultimately \
         determined by the returned length, but because creating a substring from an \
         existing string is very cheap, it can be considered O(1) for small strings.",
        &[key("key", 0), integer("start"), integer("end")],
    ),
    doc(
        Id::SubStr,
        "Get a substring of the string stored at a key",
        "1.0.0",
        "O(N) where N is the length of the returned string. The complexity is ultimately \
         determined by the returned length, but because creating a substring from an \
         existing string is very cheap, it can be considered O(1) for small strings.",
        &[key("key", 0), integer("start"), integer("end")],
    )
    .deprecated("2.0.0", "`GETRANGE`"),
    doc(
        Id::SetRange,
        "Overwrite part of a string at key starting at the specified offset",
        "2.2.0",
        "O(1), not counting the time taken to copy the new string in place. Usually, this \
         string is very small so the amortized complexity is O(1). Otherwise, complexity \
         is O(M) with M being the length of the value argument.",
        &[key("key", 0), integer("offset"), string("value")],
    ),
    doc(Id::Incr, "Increment the integer value of a key by one", "1.0.0", "O(1)", &[key("key", 0)]),
    doc(Id::Decr, "Decrement the integer value of a key by one", "1.0.0", "O(1)", &[key("key", 0)]),
    doc(
        Id::IncrBy,
        "Increment the integer value of a key by the given amount",
        "1.0.0",
        "O(1)",
        &[key("key", 0), integer("increment")],
    ),
    doc(
        Id::DecrBy,
        "Decrement the integer value of a key by the given number",
        "1.0.0",
        "O(1)",
        &[key("key", 0), integer("decrement")],
    ),
    doc(
        Id::IncrByFloat,
        "Increment the float value of a key by the given amount",
        "2.6.0",
        "O(1)",
        &[key("key", 0), double("increment")],
    ),
    doc(
        Id::Lcs,
        "Find longest common substring",
        "7.0.0",
        "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        &[
            key("key1", 0),
            key("key2", 0),
            token("len", "LEN").optional(),
            token("idx", "IDX").optional(),
            integer("len").token("MINMATCHLEN").optional(),
            token("withmatchlen", "WITHMATCHLEN").optional(),
        ],
    ),
    doc(
        Id::DelEx,
        "Delete a key if its value or the digest of its value meets a condition",
        "8.4.0",
        "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
        &[
            key("key", 0),
            one_of(
                "condition",
                &[
                    string("ifeq-match-value").token("IFEQ"),
                    string("ifne-match-value").token("IFNE"),
                    string("ifdeq-match-digest").token("IFDEQ"),
                    string("ifdne-match-digest").token("IFDNE"),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::Digest,
        "Return the XXH3 hash of the value of a key",
        "8.4.0",
        "O(N) where N is the length of the string value.",
        &[key("key", 0)],
    ),
];
