//! A value that stays the JSON it came as, as an agent keeps those of other processes.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

/// A value that nobody looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Json(pub(crate) Bytes);

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_slice::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Ok(Self(Bytes::from(json.into_boxed_bytes())))
    }
}
