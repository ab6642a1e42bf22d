//! Nodes in one process.
