//! Forms whose names say where in a tree their values stand: `user[name]=x&user[tags][]=a`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde_json::{Map, Value};

/// How names are read as places in a tree: by the rules of `qs`, which reads the forms of Koa and Express.
#[derive(Debug, Clone)]
pub struct Nesting {
    /// How many steps below its first a name is followed, default 5, at most 32; the rest is one name as it stands.
    pub depth: usize,
    /// The largest index of a list, default 20; a larger one is a name.
    pub index: usize,
    /// Whether `a.b` means `a[b]`, default true.
    pub dots: bool,
}

impl Default for Nesting {
    fn default() -> Self {
        Self { depth: 5, index: 20, dots: true }
    }
}

/// No tree is deeper, whatever [`Nesting::depth`] says: it is built and read by recursion.
const MOST_DEPTH: usize = 32;

impl Nesting {
    /// The tree of these pairs, names in the order of their first appearance.
    ///
    /// | names | tree |
    /// | --- | --- |
    /// | `a=1&a=2`, `a[]=1&a[]=2`, `a[0]=1&a[1]=2` | `{"a": ["1", "2"]}` |
    /// | `a[2]=x&a[0]=y` | `{"a": ["y", "x"]}`: lists have no holes |
    /// | `a[b][c]=1`, with dots `a.b.c=1` | `{"a": {"b": {"c": "1"}}}` |
    /// | `a[21]=x` | `{"a": {"21": "x"}}` |
    /// | `a=1&a[b]=2` | `{"a": ["1", {"b": "2"}]}` |
    /// | `a[b]=1&a=c` | `{"a": {"b": "1", "c": true}}` |
    /// | `a[b]c=1`, `a[b=1` | a name that is not of this form is one as it stands |
    /// | `=1` | nothing |
    ///
    /// No name is special: `__proto__` is one like any other. How many pairs there are is for their reader to bound, as
    /// [`parse`](super::parse) does; time and memory are linear in them.
    ///
    /// ```
    /// use cepa_core::form::{self, Nesting};
    ///
    /// let tree = Nesting::default().tree(form::parse("user[name]=Tobi&user[tags][]=a&user[tags][]=b", 100));
    /// assert_eq!(serde_json::Value::from(tree).to_string(), r#"{"user":{"name":"Tobi","tags":["a","b"]}}"#);
    /// ```
    pub fn tree<'p>(
        &self,
        pairs: impl IntoIterator<Item = (Cow<'p, str>, Cow<'p, str>)>,
    ) -> Map<String, Value> {
        let mut root = Node::Fields(Fields::default());
        for (name, text) in pairs {
            let path = self.path(&name);
            if !path.is_empty() {
                root.insert(&path, text.into_owned().into());
            }
        }
        match root.into_value() {
            Value::Object(map) => map,
            _ => unreachable!("a map that steps are taken into stays one"),
        }
    }

    fn path<'n>(&self, name: &'n str) -> Vec<Step<'n>> {
        let starts = |at: &usize| self.step(&name[*at..]).is_some();
        let splits = name.match_indices(['[', '.']).map(|(at, _)| at);
        let Some(first) = splits.take(MOST_DEPTH).find(starts) else {
            return if name.is_empty() { Vec::new() } else { vec![Step::Key(name)] };
        };
        let mut path = Vec::new();
        if first > 0 {
            path.push(Step::Key(&name[..first]));
        }
        let mut rest = &name[first..];
        for _ in 0..self.depth.min(MOST_DEPTH) {
            if rest.is_empty() {
                return path;
            }
            let Some((step, after)) = self.step(rest) else { return vec![Step::Key(name)] };
            path.push(step);
            rest = after;
        }
        if !rest.is_empty() {
            path.push(Step::Key(rest));
        }
        path
    }

    /// The step at the beginning of `text`, and what follows it.
    fn step<'n>(&self, text: &'n str) -> Option<(Step<'n>, &'n str)> {
        if let Some(inner) = text.strip_prefix('[') {
            let end = inner.find(['[', ']']).filter(|&end| inner.as_bytes()[end] == b']')?;
            return Some((self.step_of(&inner[..end]), &inner[end + 1..]));
        }
        let inner = text.strip_prefix('.').filter(|_| self.dots)?;
        let end = inner.find(['[', '.']).unwrap_or(inner.len());
        (end > 0).then(|| (self.step_of(&inner[..end]), &inner[end..]))
    }

    fn step_of<'n>(&self, text: &'n str) -> Step<'n> {
        let is_number =
            text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        match text.parse() {
            _ if text.is_empty() => Step::Append,
            Ok(index) if is_number && index <= self.index => Step::Index(index),
            _ => Step::Key(text),
        }
    }
}

/// One step down the tree.
#[derive(Clone, Copy)]
enum Step<'n> {
    Key(&'n str),
    Index(usize),
    /// `[]`. `qs` takes it for a list of one that is merged with what is there.
    Append,
}

impl<'n> Step<'n> {
    /// Its index in a list; `None` if it is not one.
    fn index(self) -> Option<usize> {
        match self {
            Step::Key(_) => None,
            Step::Index(index) => Some(index),
            Step::Append => Some(0),
        }
    }

    /// Its name in a map.
    fn key(self) -> Cow<'n, str> {
        match self {
            Step::Key(key) => Cow::Borrowed(key),
            step => Cow::Owned(step.index().unwrap_or_default().to_string()),
        }
    }
}

/// A tree in the making.
enum Node {
    Leaf(Value),
    /// By index, so that one costs no more than the indexes that are given.
    List(BTreeMap<usize, Node>),
    Fields(Fields),
}

/// A map that keeps the order of its names.
#[derive(Default)]
struct Fields {
    entries: Vec<(String, Node)>,
    by_name: HashMap<String, usize>,
}

impl Fields {
    fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let at = *self.by_name.get(name)?;
        Some(&mut self.entries[at].1)
    }

    fn add(&mut self, name: String, node: Node) {
        self.by_name.insert(name.clone(), self.entries.len());
        self.entries.push((name, node));
    }
}

impl Node {
    /// A branch that holds nothing but this leaf.
    fn branch(path: &[Step<'_>], leaf: Value) -> Self {
        path.iter().rev().fold(Self::Leaf(leaf), |node, step| match step.index() {
            Some(index) => Self::List(BTreeMap::from([(index, node)])),
            None => {
                let mut fields = Fields::default();
                fields.add(step.key().into_owned(), node);
                Self::Fields(fields)
            }
        })
    }

    fn insert(&mut self, path: &[Step<'_>], leaf: Value) {
        let Some((step, rest)) = path.split_first() else { return self.insert_leaf(leaf) };
        match self {
            Self::Leaf(_) => {
                let branch = if step.index().is_some() { rest } else { path };
                push(self.make_list(), Self::branch(branch, leaf));
            }
            Self::List(list) => match step.index().map(|index| (index, list.get_mut(&index))) {
                Some((_, Some(node))) if !matches!(node, Self::Leaf(_)) && !rest.is_empty() => {
                    node.insert(rest, leaf);
                }
                Some((_, Some(_))) => push(list, Self::branch(rest, leaf)),
                Some((index, None)) => drop(list.insert(index, Self::branch(rest, leaf))),
                None => {
                    let mut fields = Fields::default();
                    for (index, node) in std::mem::take(list) {
                        fields.add(index.to_string(), node);
                    }
                    *self = Self::Fields(fields);
                    self.insert(path, leaf);
                }
            },
            Self::Fields(fields) => match fields.get_mut(&step.key()) {
                Some(node) => node.insert(rest, leaf),
                None => fields.add(step.key().into_owned(), Self::branch(rest, leaf)),
            },
        }
    }

    fn insert_leaf(&mut self, leaf: Value) {
        match (self, leaf) {
            // A text where there is a map is the name of a truth.
            (Self::Fields(fields), Value::String(name)) => {
                if fields.get_mut(&name).is_none() {
                    fields.add(name, Self::Leaf(true.into()));
                }
            }
            (node, leaf) => push(node.make_list(), Self::Leaf(leaf)),
        }
    }

    /// The list that this is, or becomes with itself as its first.
    fn make_list(&mut self) -> &mut BTreeMap<usize, Node> {
        if !matches!(self, Self::List(_)) {
            let first = std::mem::replace(self, Self::List(BTreeMap::new()));
            push(self.make_list(), first);
        }
        match self {
            Self::List(list) => list,
            _ => unreachable!("it was made a list above"),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Leaf(leaf) => leaf,
            Self::List(list) => list.into_values().map(Self::into_value).collect(),
            Self::Fields(fields) => {
                fields.entries.into_iter().map(|(name, node)| (name, node.into_value())).collect()
            }
        }
    }
}

/// Adds behind the last.
fn push(list: &mut BTreeMap<usize, Node>, node: Node) {
    let next = list.last_key_value().map_or(0, |(last, _)| last + 1);
    list.insert(next, node);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{form, vectors};
    use proptest::prelude::*;
    use serde_json::json;

    fn tree(text: &str) -> Value {
        Nesting::default().tree(form::parse(text, 1000)).into()
    }

    #[test]
    fn reads_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            input: String,
            form_body: Value,
        }
        for Vector { input, form_body } in vectors::load("query_strings") {
            // Names that every object of JavaScript has are dropped there; here they are nothing special.
            let expected = if input == "toString=1" { json!({ "toString": "1" }) } else { form_body };
            assert_eq!(tree(&input), expected, "{input}");
        }
    }

    #[test]
    fn reads_as_qs_does() {
        for (input, expected) in [
            ("a[]=1&a[]=2", json!({ "a": ["1", "2"] })),
            ("a[2]=x&a[0]=y", json!({ "a": ["y", "x"] })),
            ("a[20]=x", json!({ "a": ["x"] })),
            ("a[25]=x", json!({ "a": { "25": "x" } })),
            ("a[01]=x", json!({ "a": { "01": "x" } })),
            ("a[0]=x&a[b]=y", json!({ "a": { "0": "x", "b": "y" } })),
            ("a[b]=x&a[]=y", json!({ "a": { "b": "x", "0": "y" } })),
            ("a[][b]=1&a[][c]=2", json!({ "a": [{ "b": "1", "c": "2" }] })),
            ("a[0][b]=1&a[1][b]=2", json!({ "a": [{ "b": "1" }, { "b": "2" }] })),
            ("a=1&a[]=2&a[0]=3", json!({ "a": ["1", "2", "3"] })),
            ("a[b]=1&a=c&a=b", json!({ "a": { "b": "1", "c": true } })),
            ("a=1&a.b.c=2", json!({ "a": ["1", { "b": { "c": "2" } }] })),
            (
                "a[b][c][d][e][f][g][h]=1",
                json!({ "a": { "b": { "c": { "d": { "e": { "f": { "[g][h]": "1" } } } } } } }),
            ),
            ("[a]=1&[]=2", json!({ "a": "1", "0": "2" })),
            ("a.=1&.=2&a..b=3&=4", json!({ "a.": ["1", { "b": "3" }], ".": "2" })),
            (
                "a[b=1&a]b=2&a[b]c=3&[=4&]=5",
                json!({ "a[b": "1", "a]b": "2", "a[b]c": "3", "[": "4", "]": "5" }),
            ),
            ("__proto__[x]=1", json!({ "__proto__": { "x": "1" } })),
            ("a%5Bb%5D=1", json!({ "a": { "b": "1" } })),
        ] {
            assert_eq!(tree(input), expected, "{input}");
        }
        let plain = Nesting { dots: false, depth: 1, index: 0 };
        let found = plain.tree(form::parse("a.b=1&c[d][e]=2&f[0]=3&g[1]=4", 9));
        let expected = json!({ "a.b": "1", "c": { "d": { "[e]": "2" } }, "f": ["3"], "g": { "1": "4" } });
        assert_eq!(Value::from(found), expected);
        assert_eq!(tree("b=1&a[z]=2&b=3&a[y]=4").to_string(), r#"{"b":["1","3"],"a":{"z":"2","y":"4"}}"#);
    }

    #[test]
    fn depth_is_bounded() {
        let name = format!("a{}", "[b]".repeat(10_000));
        let deep = Nesting { depth: usize::MAX, ..Nesting::default() };
        let mut value = &Value::from(deep.tree([(name.into(), "1".into())]));
        let mut depth = 0;
        while let Some(inner) = value.as_object().and_then(|map| map.values().next()) {
            value = inner;
            depth += 1;
        }
        assert_eq!(depth, MOST_DEPTH + 2);
    }

    proptest! {
        #[test]
        fn never_panics(input in r"((a|b|\[|\]|\[\]|\[b\]|\[0\]|\[3\]|\.|=1)&?){0,40}") {
            let _ = tree(&input);
        }
    }
}
