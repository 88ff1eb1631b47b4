//! A chat: rooms, who is in them, what was said before, over WebSocket, a stream of events, or long polls.
//!
//! In reading order: `app` puts the onion together; a `room` is a queue and what is published there; `doors` are the
//! ways in and out of a room.

mod app;
mod doors;
mod room;

pub use app::app;
