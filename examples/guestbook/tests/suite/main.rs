//! The guestbook as its visitors have it: in memory, and over sockets with curl.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer, also where tests share code")]

mod api;
mod fixture;
mod live;
mod pages;
mod program;
