//! Layers of the app's own.

pub(crate) mod powered_by;
