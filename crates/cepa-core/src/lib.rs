//! The onion and what its layers see of a request. Knows no socket, no runtime and no file system.

pub mod cookie;
pub mod router;
