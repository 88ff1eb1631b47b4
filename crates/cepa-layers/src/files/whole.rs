//! What who answers with a whole file leaves on the ctx, for a server in front to send it.

use std::path::PathBuf;

/// The file that a response consists of, left on the ctx by who answered with it: the whole file, unchanged.
///
/// Its path is absolute and was checked; the response's body may be the same file, for where nobody is in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeFile(pub PathBuf);

/// Left on the ctx on the way in, so that a file's path is only looked for where somebody wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted;
