//! A value that stays out of logs and dumps.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};

/// A value that stays out of logs and dumps: its `Debug` does not show it, `check --dump` masks it, and it cannot be
/// serialised.
///
/// ```
/// # use cepa::{Boot, Secret};
/// #[derive(Debug, serde::Deserialize)]
/// struct Mail {
///     login: Secret<String>,
/// }
/// let mail: Mail = Boot::load_with("test", &["mail.login=hunter2"])?.config("mail")?;
/// assert_eq!(format!("{mail:?}"), "Mail { login: Secret(..) }");
/// assert_eq!(mail.login.expose(), "hunter2");
/// # Ok::<(), cepa::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

/// By what name the reader of the configuration knows it.
pub(crate) const NAME: &str = "cepa::Secret";

impl<T> Secret<T> {
    /// A secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for whoever needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, a secret no longer.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, Inner(PhantomData))
    }
}

struct Inner<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Inner<T> {
    type Value = Secret<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Secret<T>, D::Error> {
        T::deserialize(inner).map(Secret)
    }
}
