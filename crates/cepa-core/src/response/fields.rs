//! The headers of a response: the type of its body, and a map once there is more to hold.

use std::cell::OnceCell;

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};

use crate::spare::{reuse_map, spare_map};

/// The headers of a response.
///
/// Most answers carry the type of their body and nothing else of the app's. So a type that the framework itself
/// has chosen is noted here, and goes into a map when somebody asks for one.
#[derive(Default)]
pub(super) struct Fields {
    /// The type of the body; counts only while there is no map.
    kind: Option<&'static HeaderValue>,
    map: OnceCell<Box<HeaderMap>>,
}

impl Fields {
    /// The map, made if there is none.
    pub(super) fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| {
            let mut map = spare_map();
            if let Some(kind) = self.kind {
                map.insert(CONTENT_TYPE, kind.clone());
            }
            map
        })
    }

    /// The map, made if there is none, to change it.
    pub(super) fn map_mut(&mut self) -> &mut HeaderMap {
        self.map();
        self.map.get_mut().expect("the map was made above")
    }

    /// The map, or else the type that is all there is.
    #[inline]
    pub(super) fn as_is(&self) -> (Option<&HeaderMap>, Option<&'static HeaderValue>) {
        match self.map.get() {
            Some(map) => (Some(map), None),
            None => (None, self.kind),
        }
    }

    /// The first value of this name.
    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        match self.as_is() {
            (Some(map), _) => map.get(name),
            (None, kind) => kind.filter(|_| *name == CONTENT_TYPE),
        }
    }

    /// Removes all values of this name.
    pub(super) fn remove(&mut self, name: &HeaderName) {
        match self.map.get_mut() {
            Some(map) => drop(map.remove(name)),
            None if *name == CONTENT_TYPE => self.kind = None,
            None => {}
        }
    }

    /// Sets the type of the body.
    pub(super) fn set_type(&mut self, kind: &'static HeaderValue) {
        match self.map.get_mut() {
            Some(map) => drop(map.insert(CONTENT_TYPE, kind.clone())),
            None => self.kind = Some(kind),
        }
    }

    /// Sets the type of the body where none is set yet.
    #[inline]
    pub(super) fn set_default_type(&mut self, kind: &'static HeaderValue) {
        match self.map.get_mut() {
            Some(map) => drop(map.entry(CONTENT_TYPE).or_insert_with(|| kind.clone())),
            None => drop(self.kind.get_or_insert(kind)),
        }
    }

    /// The map, out of its place.
    pub(super) fn into_map(mut self) -> HeaderMap {
        self.map();
        self.map.take().map(|map| *map).unwrap_or_default()
    }

    /// Gives the memory back for the next response.
    #[inline]
    pub(super) fn reuse(&mut self) {
        if let Some(map) = self.map.take() {
            reuse_map(map);
        }
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        Self { kind: None, map: OnceCell::from(Box::new(map)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::{HTML, JSON, TEXT};

    #[test]
    fn a_type_is_the_same_with_and_without_a_map() {
        for mapped in [false, true] {
            let mut fields = Fields::default();
            let look = |fields: &Fields| mapped.then(|| fields.map().len());
            look(&fields);
            assert_eq!(fields.get(&CONTENT_TYPE), None);
            fields.set_default_type(&TEXT);
            fields.set_default_type(&HTML);
            look(&fields);
            assert_eq!(fields.get(&CONTENT_TYPE), Some(&TEXT));
            fields.set_type(&JSON);
            look(&fields);
            assert_eq!(fields.get(&CONTENT_TYPE), Some(&JSON));
            assert_eq!(fields.get(&http::header::ETAG), None);
            fields.remove(&CONTENT_TYPE);
            look(&fields);
            assert_eq!((fields.get(&CONTENT_TYPE), fields.map().len()), (None, 0));
        }
    }

    #[test]
    fn the_map_has_the_type_and_from_then_on_counts_alone() {
        let mut fields = Fields::default();
        fields.set_type(&TEXT);
        assert_eq!(fields.map()[CONTENT_TYPE], TEXT);
        fields.map_mut().remove(CONTENT_TYPE);
        assert_eq!(fields.get(&CONTENT_TYPE), None);
        assert!(fields.into_map().is_empty());
    }
}
