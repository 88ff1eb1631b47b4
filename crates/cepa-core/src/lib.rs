//! Placeholder.

pub mod router;
