//! The doors of Cepa and the floor under them: each door turns the bytes of one protocol into requests
//! and responses back into bytes.

pub mod http1;
