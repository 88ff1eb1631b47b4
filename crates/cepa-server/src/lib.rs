//! The doors of Cepa and the floor under them.

pub mod limits;
pub mod listen;
#[cfg(test)]
mod scratch;
pub mod timer;
pub mod tls;
