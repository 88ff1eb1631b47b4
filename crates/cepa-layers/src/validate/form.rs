//! A form that was filled in wrongly, to be shown again.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::Invalid;

/// What was sent, and what is wrong with it: all that a page needs to show a form again.
///
/// In a template it has `values.name`, the text that was sent, a list where a name was sent more than once, and
/// `errors.name`, the list of messages for a field; a name without them is undefined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What was sent, by name.
    pub values: Map<String, Value>,
    /// What is wrong.
    pub invalid: Invalid,
}

impl Serialize for Rejected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut errors: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for finding in &self.invalid.findings {
            errors.entry(finding.field()).or_default().push(&finding.message);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("values", &self.values)?;
        map.serialize_entry("errors", &errors)?;
        map.end()
    }
}
