//! What the end-to-end tests share: a server, a client that sends bytes as they are, and the cases recorded from Koa.

pub mod http;
pub mod koa;
mod serve;

pub use serve::{Served, serve};
