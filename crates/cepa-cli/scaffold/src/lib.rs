//! In reading order: `app` puts the onion together; a `controller` answers requests by what a `service` does; a
//! `middleware` is around both; a `schedule` runs without a request.

mod app;
mod controller;
mod middleware;
mod schedule;
mod service;

pub use app::app;
