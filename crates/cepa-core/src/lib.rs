//! The core of Cepa: the words of HTTP as pure functions, knowing no socket, no runtime and no file system.
//!
//! In reading order: what header fields are made of ([`media_type`], [`mime`], [`date`]), what a request asks
//! ([`accept`], [`fresh`], [`form`], [`de`]), who sent it ([`host`], [`forwarded`]), and what a response says
//! ([`vary`], [`disposition`], [`location`]).

pub mod accept;
pub mod date;
pub mod de;
pub mod disposition;
pub mod form;
pub mod forwarded;
pub mod fresh;
mod grammar;
pub mod host;
pub mod location;
pub mod media_type;
pub mod mime;
mod percent;
pub mod vary;

#[cfg(test)]
mod vectors;
