//! The seven routes of a REST resource, as Egg's `router.resources` writes them.

use http::Method;

use super::inflect;

/// What a route of a resource does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Lists the resources.
    Index,
    /// Shows the form for a new one.
    New,
    /// Makes one.
    Create,
    /// Shows one.
    Show,
    /// Shows the form to change one.
    Edit,
    /// Changes one.
    Update,
    /// Removes one.
    Destroy,
}

impl Action {
    /// All seven, in the order their routes are registered.
    pub const ALL: [Self; 7] =
        [Self::Index, Self::New, Self::Create, Self::Show, Self::Edit, Self::Update, Self::Destroy];

    /// The name of the action in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::New => "new",
            Self::Create => "create",
            Self::Show => "show",
            Self::Edit => "edit",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }

    /// The methods of its route; a route for GET also answers HEAD.
    pub const fn methods(self) -> &'static [Method] {
        const READ: &[Method] = &[Method::HEAD, Method::GET];
        const CREATE: &[Method] = &[Method::POST];
        const UPDATE: &[Method] = &[Method::PATCH, Method::PUT];
        const DESTROY: &[Method] = &[Method::DELETE];
        match self {
            Self::Index | Self::New | Self::Show | Self::Edit => READ,
            Self::Create => CREATE,
            Self::Update => UPDATE,
            Self::Destroy => DESTROY,
        }
    }

    /// What follows the prefix of the resource.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Index | Self::Create => "",
            Self::New => "/new",
            Self::Show | Self::Update | Self::Destroy => "/{id}",
            Self::Edit => "/{id}/edit",
        }
    }
}

/// One route of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRoute {
    /// What it does.
    pub action: Action,
    /// Its path, the text of a [`Pattern`](super::Pattern) that is still to be parsed.
    pub path: String,
    /// Its name for URLs, if the resource has one.
    pub name: Option<String>,
}

/// The seven routes of a resource, in the order of [`Action::ALL`].
///
/// | action | methods | path | route name |
/// | --- | --- | --- | --- |
/// | index | HEAD, GET | `/posts` | `posts` |
/// | new | HEAD, GET | `/posts/new` | `new_post` |
/// | create | POST | `/posts` | `posts` |
/// | show | HEAD, GET | `/posts/{id}` | `post` |
/// | edit | HEAD, GET | `/posts/{id}/edit` | `edit_post` |
/// | update | PATCH, PUT | `/posts/{id}` | `post` |
/// | destroy | DELETE | `/posts/{id}` | `destroy_post` |
///
/// One slash at the end of `prefix` is dropped. The name may be singular or plural English. Without a
/// name, or with an empty one, the routes have none (Egg then makes `s`, `new_` and the like).
///
/// ```
/// use cepa_core::router::{Action, resources};
///
/// let routes = resources(Some("categories"), "/api/categories/");
/// assert_eq!(routes[4].action, Action::Edit);
/// assert_eq!(routes[4].path, "/api/categories/{id}/edit");
/// assert_eq!(routes[4].name.as_deref(), Some("edit_category"));
/// ```
pub fn resources(name: Option<&str>, prefix: &str) -> [ResourceRoute; 7] {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let numbers = name.filter(|name| !name.is_empty()).map(inflect::numbers);
    Action::ALL.map(|action| {
        let path = match (prefix, action.suffix()) {
            ("", "") => "/".to_owned(),
            (prefix, suffix) => format!("{prefix}{suffix}"),
        };
        let name = numbers.as_ref().map(|(one, many)| match action {
            Action::Index | Action::Create => many.clone(),
            Action::Show | Action::Update => one.clone(),
            Action::New | Action::Edit | Action::Destroy => format!("{}_{one}", action.as_str()),
        });
        ResourceRoute { action, path, name }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Pattern;

    #[test]
    fn every_path_is_a_pattern() {
        for prefix in ["/posts", "/posts/", "/", "", "/users/{uid}/posts"] {
            for route in resources(None, prefix) {
                Pattern::parse(&route.path).unwrap();
                assert_eq!(route.name, None);
            }
        }
    }

    #[test]
    fn the_seven_routes() {
        let table = [
            ("index", "HEAD GET", "/p", "posts"),
            ("new", "HEAD GET", "/p/new", "new_post"),
            ("create", "POST", "/p", "posts"),
            ("show", "HEAD GET", "/p/{id}", "post"),
            ("edit", "HEAD GET", "/p/{id}/edit", "edit_post"),
            ("update", "PATCH PUT", "/p/{id}", "post"),
            ("destroy", "DELETE", "/p/{id}", "destroy_post"),
        ];
        for (route, (action, methods, path, name)) in resources(Some("posts"), "/p").iter().zip(table) {
            let has: Vec<_> = route.action.methods().iter().map(Method::as_str).collect();
            assert_eq!((route.action.as_str(), has.join(" ").as_str()), (action, methods));
            assert_eq!((route.path.as_str(), route.name.as_deref()), (path, Some(name)));
        }
    }
}
