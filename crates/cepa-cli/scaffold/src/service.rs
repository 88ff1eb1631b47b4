//! What the app does, without HTTP.

pub(crate) mod greeting;
