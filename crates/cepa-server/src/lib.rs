//! The doors of Cepa and the floor under them.

pub mod limits;
pub mod listen;
pub mod timer;
pub mod tls;
