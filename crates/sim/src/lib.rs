//! Nodes in a simulation, and checks of what they did.

pub mod simulation;
