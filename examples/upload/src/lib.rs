//! A shelf for files: a form takes them in, a list hands them out.
//!
//! `app` puts the onion together, `pages` answers, the `shelf` keeps the files.

mod app;
mod pages;
mod shelf;

pub use app::app;
