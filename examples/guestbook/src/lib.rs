//! A guestbook: pages, a JSON API and live updates around one embedded store.
//!
//! In reading order: `app` puts the onion together out of `settings`; its `layers`, `errors` and `origin` enclose what
//! answers: `pages` for people, `api` for programs, `live` for both. They work on the `book`, which is made of an
//! `entry` after the other; a `visitor` is remembered by cookies.

mod api;
mod app;
mod book;
mod entry;
mod errors;
mod layers;
mod live;
mod origin;
mod pages;
mod settings;
mod visitor;

pub use app::app;
