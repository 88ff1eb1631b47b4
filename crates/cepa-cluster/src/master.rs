//! The master.
mod core;
