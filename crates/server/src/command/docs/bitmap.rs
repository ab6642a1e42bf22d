//! Documentation: commands on the bits of a string.

use super::{CommandDocs, Id, block, doc, integer, key, one_of, string, token};

/// One for each command of the group.
pub const DOCS: &[CommandDocs] = &[
    doc(
        Id::SetBit,
        "Sets or clears the bit at offset in the string value stored at key",
        "2.2.0",
        "O(1)",
        &[key("key", 0), integer("offset"), integer("value")],
    ),
    doc(
        Id::GetBit,
        "Returns the bit value at offset in the string value stored at key",
        "2.2.0",
        "O(1)",
        &[key("key", 0), integer("offset")],
    ),
    doc(
        Id::BitCount,
        "Count set bits in a string",
        "2.6.0",
        "O(N)",
        &[
            key("key", 0),
            block(
                "index",
                &[
                    integer("start"),
                    integer("end"),
                    one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")])
                        .optional()
                        .since("7.0.0"),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::BitPos,
        "Find first bit set or clear in a string",
        "2.8.7",
        "O(N)",
        &[
            key("key", 0),
            integer("bit"),
            block(
                "index",
                &[
                    integer("start"),
                    block(
                        "end_index",
                        &[
                            integer("end"),
                            one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")])
                                .optional()
                                .since("7.0.0"),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ],
    ),
    doc(
        Id::BitOp,
        "Perform bitwise operations between strings",
        "2.6.0",
        "O(N)",
        &[string("operation"), key("destkey", 0), key("key", 1).multiple()],
    ),
    doc(
        Id::BitField,
        "Perform arbitrary bitfield integer operations on strings",
        "3.2.0",
        "O(1) for each subcommand specified",
        &[
            key("key", 0),
            one_of(
                "operation",
                &[
                    block("encoding_offset", &[string("encoding"), integer("offset")]).token("GET"),
                    block(
                        "write",
                        &[
                            one_of(
                                "wrap_sat_fail",
                                &[
                                    token("wrap", "WRAP"),
                                    token("sat", "SAT"),
                                    token("fail", "FAIL"),
                                ],
                            )
                            .token("OVERFLOW")
                            .optional(),
                            one_of(
                                "write_operation",
                                &[
                                    block(
                                        "encoding_offset_value",
                                        &[string("encoding"), integer("offset"), integer("value")],
                                    )
                                    .token("SET"),
                                    block(
                                        "encoding_offset_increment",
                                        &[
                                            string("encoding"),
                                            integer("offset"),
                                            integer("increment"),
                                        ],
                                    )
                                    .token("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ],
    ),
    doc(
        Id::BitFieldRo,
        "Perform arbitrary bitfield integer operations on strings. Read-only variant of \
         BITFIELD",
        "6.0.0",
        "O(1) for each subcommand specified",
        &[
            key("key", 0),
            block("encoding_offset", &[string("encoding"), integer("offset")])
                .token("GET")
                .optional()
                .multiple()
                .repeat_token(),
        ],
    ),
];
