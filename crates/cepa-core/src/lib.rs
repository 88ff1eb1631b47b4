//! The core of Cepa: the words of HTTP as pure functions, knowing no socket, no runtime and no file system.

pub mod accept;
pub mod date;
pub mod de;
pub mod disposition;
pub mod form;
pub mod fresh;
mod grammar;
pub mod location;
pub mod media_type;
pub mod mime;
mod percent;
pub mod vary;

#[cfg(test)]
mod vectors;
