//! Who has signed in: what the layers that ask for a name leave for those inwards of them.

/// The user that a layer has let in, for handlers and logs: `ctx.state::<User>()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(Box<str>);

impl User {
    /// A user of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}
