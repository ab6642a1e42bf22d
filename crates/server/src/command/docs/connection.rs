//! Documentation: commands about the connection.

use super::{CommandDocs, Id, block, doc, integer, one_of, string, token};

/// One for each command of the group.
pub const DOCS: &[CommandDocs] = &[
    doc(Id::Ping, "Ping the server", "1.0.0", "O(1)", &[string("message").optional()]),
    doc(Id::Echo, "Echo the given string", "1.0.0", "O(1)", &[string("message")]),
    doc(
        Id::Auth,
        "Authenticate to the server",
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
        &[string("username").optional().since("6.0.0"), string("password")],
    ),
    doc(
        Id::Hello,
        "Handshake with Redis",
        "6.0.0",
        "O(1)",
        &[block(
            "arguments",
            &[
                integer("protover"),
                block("username_password", &[string("username"), string("password")])
                    .token("AUTH")
                    .optional(),
                string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()],
    ),
    doc(Id::Reset, "Reset the connection", "6.2.0", "O(1)", &[]),
    doc(Id::Quit, "Close the connection", "1.0.0", "O(1)", &[]),
    doc(
        Id::Select,
        "Change the selected database for the current connection",
        "1.0.0",
        "O(1)",
        &[integer("index")],
    ),
    doc(
        Id::Client,
        "A container for client connection commands",
        "2.4.0",
        "Depends on subcommand.",
        &[],
    ),
    doc(Id::ClientId, "Returns the client ID for the current connection", "5.0.0", "O(1)", &[]),
    doc(
        Id::ClientInfo,
        "Returns information about the current client connection.",
        "6.2.0",
        "O(1)",
        &[],
    ),
    doc(
        Id::ClientList,
        "Get the list of client connections",
        "2.4.0",
        "O(N) where N is the number of client connections",
        &[
            one_of(
                "normal_master_replica_pubsub",
                &[
                    token("normal", "NORMAL"),
                    token("master", "MASTER"),
                    token("replica", "REPLICA"),
                    token("pubsub", "PUBSUB"),
                ],
            )
            .token("TYPE")
            .optional()
            .since("5.0.0"),
            block("id", &[integer("client-id").multiple()]).token("ID").optional().since("6.2.0"),
        ],
    ),
    doc(
        Id::ClientKill,
        "Kill the connection of a client",
        "2.4.0",
        "O(N) where N is the number of client connections",
        &[one_of(
            "filter",
            &[
                string("ip:port"),
                one_of(
                    "new-format",
                    &[
                        integer("client-id").token("ID").optional().since("2.8.12"),
                        one_of(
                            "normal_master_slave_pubsub",
                            &[
                                token("normal", "NORMAL"),
                                token("master", "MASTER").since("3.2.0"),
                                token("slave", "SLAVE"),
                                token("replica", "REPLICA").since("5.0.0"),
                                token("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .optional()
                        .since("2.8.12"),
                        string("username").token("USER").optional(),
                        string("ip:port").token("ADDR").optional(),
                        string("ip:port").token("LADDR").optional().since("6.2.0"),
                        string("yes/no").token("SKIPME").optional(),
                        integer("maxage").token("MAXAGE").optional(),
                    ],
                )
                .multiple(),
            ],
        )],
    ),
    doc(
        Id::ClientSetName,
        "Set the current connection name",
        "2.6.9",
        "O(1)",
        &[string("connection-name")],
    ),
    doc(Id::ClientGetName, "Get the current connection name", "2.6.9", "O(1)", &[]),
    doc(
        Id::ClientSetInfo,
        "Set information specific to the client or connection",
        "7.2.0",
        "O(1)",
        &[one_of(
            "attr",
            &[string("libname").token("LIB-NAME"), string("libver").token("LIB-VER")],
        )],
    ),
    doc(
        Id::ClientNoEvict,
        "Set client eviction mode for the current connection",
        "7.0.0",
        "O(1)",
        &[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])],
    ),
    doc(
        Id::ClientNoTouch,
        "Set whether commands of the connection alter the time of last use of the keys \
         they access",
        "7.2.0",
        "O(1)",
        &[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])],
    ),
    doc(
        Id::ClientPause,
        "Stop processing commands from clients for some time",
        "2.9.50",
        "O(1)",
        &[
            integer("timeout"),
            one_of("mode", &[token("write", "WRITE"), token("all", "ALL")])
                .optional()
                .since("6.2.0"),
        ],
    ),
    doc(
        Id::ClientUnpause,
        "Resume processing of clients that were paused",
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        &[],
    ),
    doc(
        Id::ClientReply,
        "Instruct the server whether to reply to commands",
        "3.2.0",
        "O(1)",
        &[one_of("on_off_skip", &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")])],
    ),
    doc(
        Id::ClientUnblock,
        "Unblock a client blocked in a blocking command from a different connection",
        "5.0.0",
        "O(log N) where N is the number of client connections",
        &[
            integer("client-id"),
            one_of("timeout_error", &[token("timeout", "TIMEOUT"), token("error", "ERROR")])
                .optional(),
        ],
    ),
    doc(
        Id::ClientTracking,
        "Enable or disable server assisted client side caching support",
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        &[
            one_of("status", &[token("on", "ON"), token("off", "OFF")]),
            integer("client-id").token("REDIRECT").optional(),
            string("prefix").token("PREFIX").optional().multiple().repeat_token(),
            token("bcast", "BCAST").optional(),
            token("optin", "OPTIN").optional(),
            token("optout", "OPTOUT").optional(),
            token("noloop", "NOLOOP").optional(),
        ],
    ),
    doc(
        Id::ClientTrackingInfo,
        "Return information about server assisted client side caching for the current connection",
        "6.2.0",
        "O(1)",
        &[],
    ),
    doc(
        Id::ClientCaching,
        "Instruct the server about tracking or not keys in the next request",
        "6.0.0",
        "O(1)",
        &[one_of("mode", &[token("yes", "YES"), token("no", "NO")])],
    ),
    doc(
        Id::ClientGetRedir,
        "Get tracking notifications redirection client ID if any",
        "6.0.0",
        "O(1)",
        &[],
    ),
    doc(Id::ClientHelp, "Show helpful text about the different subcommands", "5.0.0", "O(1)", &[]),
];
