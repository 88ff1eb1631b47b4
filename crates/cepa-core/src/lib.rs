//! The core of Cepa: the words of HTTP as pure functions, knowing no socket, no runtime and no file system.

pub mod date;
mod grammar;
pub mod media_type;
pub mod mime;
mod percent;

#[cfg(test)]
mod vectors;
