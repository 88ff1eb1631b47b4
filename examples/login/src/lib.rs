//! Logging in and out: a session in a store, forms that only this site's pages can send, pages that run no foreign code.
//!
//! In reading order: `app` puts the onion together; `visitor` knows who is logged in, and lets nobody else pass;
//! `pages` are what people see; `accounts` know the passwords.

mod accounts;
mod app;
mod pages;
mod visitor;

pub use app::app;
