//! Typed values: what layers leave for each other on a request, and what an app provides to all.

use std::{
    any::{Any, TypeId},
    fmt,
};

/// One value per type, for the time of a request.
///
/// Lookups are linear: a request carries a handful of values.
#[derive(Default)]
pub struct State(Vec<(TypeId, Box<dyn Any>)>);

impl State {
    /// Puts a value in, answering the one it replaced.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        if let Some(present) = self.get_mut::<T>() {
            return Some(std::mem::replace(present, value));
        }
        self.0.push((TypeId::of::<T>(), Box::new(value)));
        None
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// The value of this type, to change it.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let (_, value) = self.0.iter_mut().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_mut()
    }

    /// The value of this type, put in by `make` if it was missing.
    pub fn get_or_insert_with<T: 'static>(&mut self, make: impl FnOnce() -> T) -> &mut T {
        if self.get::<T>().is_none() {
            self.insert(make());
        }
        self.get_mut().expect("the value was just put in")
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        let at = self.0.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.0.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} values)", self.0.len())
    }
}

/// One value per type, shared by all threads for the life of the app.
///
/// Lookups are linear: an app provides a handful of values.
#[derive(Default)]
pub struct Provided(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl Provided {
    /// Puts a value in; a later one of the same type replaces it.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.retain(|(id, _)| *id != TypeId::of::<T>());
        self.0.push((TypeId::of::<T>(), Box::new(value)));
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref()
    }
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provided({} values)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_per_type() {
        let mut state = State::default();
        assert_eq!(state.insert(1u32), None);
        assert_eq!(state.insert(2u32), Some(1));
        assert_eq!(state.get::<u32>(), Some(&2));
        assert_eq!(state.get::<u64>(), None);
        *state.get_or_insert_with(String::new) += "x";
        assert_eq!(state.remove::<String>().as_deref(), Some("x"));
        assert_eq!(state.remove::<String>(), None);
    }
}
