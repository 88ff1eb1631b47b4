//! What the end-to-end tests share: a server, clients that send bytes as they are, a browser, an app that keeps a
//! record, and the cases recorded from Koa.

pub mod acme;
pub mod browser;
pub mod cluster;
pub mod fastcgi;
pub mod hosted;
pub mod http;
pub mod koa;
pub mod listeners;
pub mod load;
pub mod probe;
mod serve;
pub mod site;
pub mod stats;
pub mod wire;

pub use serve::{Served, Serving, serve};
