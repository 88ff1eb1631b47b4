//! Handlers: they read the request, ask services, and answer.

pub(crate) mod greeting;
pub(crate) mod home;
