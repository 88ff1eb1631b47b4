//! What answers which path of a host.
//!
//! Apache asks one kind of rules after the other (proxies, redirects, aliases, at last the document root), and of a kind the
//! first that fits; a site asks the longest path. So a rule that stands behind one for the same path or one above it would
//! never have been asked, and is left out.

use std::path::{Path, PathBuf};

use super::{
    Note,
    rule::{Rule, Target},
    scope::Scope,
};

/// Whether a path is another one, or below it.
fn is_below(path: &str, other: &str) -> bool {
    let other = other.trim_end_matches('/');
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a host answers, with a rule for each path.
pub(super) fn routes(host: &Scope, base: &Scope, notes: &mut Vec<Note>) -> Vec<(String, Target)> {
    let root = host.root.as_ref().or(base.root.as_ref());
    let kind = |of: fn(&Scope) -> &Vec<Rule>| of(host).iter().chain(of(base)).cloned().collect::<Vec<_>>();
    let (proxies, redirects, aliases) =
        (kind(|scope| &scope.proxies), kind(|scope| &scope.redirects), kind(|scope| &scope.aliases));
    let later: Vec<Rule> = redirects.into_iter().chain(aliases).collect();
    let mut taken: Vec<(String, Target)> = Vec::new();
    let covers = |taken: &[(String, Target)], path: &str, by: fn(&Target) -> bool| {
        // The longest is the one that would answer.
        let above = taken.iter().filter(|(other, _)| is_below(path, other));
        above.max_by_key(|(other, _)| other.len()).is_some_and(|(_, target)| by(target))
    };
    for rule in &proxies {
        if taken.iter().any(|(other, _)| is_below(&rule.path, other)) {
            notes.push(rule.note("an earlier rule answers there already"));
            continue;
        }
        taken.push((rule.path.clone(), rule.target.clone()));
    }
    for rule in &later {
        // Behind a proxy, but for what it leaves out.
        let hidden = covers(&taken, &rule.path, |target| *target != Target::Nothing);
        match hidden {
            true => notes.push(rule.note("an earlier rule answers there already")),
            false => put(&mut taken, rule.path.clone(), rule.target.clone()),
        }
    }
    if let Some(root) = root
        && !taken.iter().any(|(path, target)| path == "/" && *target != Target::Nothing)
    {
        put(&mut taken, "/".to_owned(), Target::Files(root.clone()));
    }
    fill(&mut taken, &later, root.map(PathBuf::as_path));
    taken.retain(|(_, target)| *target != Target::Nothing);
    taken.sort_by(|(one, _), (two, _)| one.cmp(two));
    taken
}

/// Adds a rule; what left this path out is answered by it.
fn put(taken: &mut Vec<(String, Target)>, path: String, target: Target) {
    match taken.iter_mut().find(|(other, _)| *other == path) {
        Some((_, empty)) => *empty = target,
        None => taken.push((path, target)),
    }
}

/// Has those paths answered that a proxy leaves out, by what is next for them.
fn fill(taken: &mut [(String, Target)], later: &[Rule], root: Option<&Path>) {
    for (path, target) in taken.iter_mut().filter(|(_, target)| *target == Target::Nothing) {
        let rule = later.iter().find(|rule| is_below(path, &rule.path));
        let (above, next) = match (rule, root) {
            (Some(rule), _) => (rule.path.as_str(), rule.target.clone()),
            (None, Some(root)) => ("/", Target::Files(root.to_owned())),
            (None, None) => continue,
        };
        let rest = path[above.trim_end_matches('/').len()..].trim_start_matches('/');
        *target = match next {
            Target::Files(folder) => Target::Files(folder.join(rest)),
            Target::Cgi(folder) => Target::Cgi(folder.join(rest)),
            Target::Redirect { to, status } => {
                Target::Redirect { to: format!("{}/{rest}", to.trim_end_matches('/')), status }
            }
            other => other,
        };
    }
}
