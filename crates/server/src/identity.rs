//! What the server calls itself.

/// The version of Redis whose behaviour clients may rely on.
pub const REDIS_VERSION: &str = "7.2.4";

/// The version of this server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
