//! From the fields of types that are read by serde to tables of keys.

use std::fmt::Write;

use syn::{
    Attribute, Expr, ExprLit, Field, Fields, File, GenericArgument, Ident, Item, ItemEnum, ItemStruct, Lit,
    Meta, PathArguments, Type, Variant, ext::IdentExt,
};

const HEAD: &str = "\
<!-- Written by `cargo xtask guide` from the comments at the fields; change those. -->

# Reference of all keys

[Configuration](configuration.md) says where keys are written and how values are. A section of your app has the keys that
you give it; these are Cepa's own. What is not *required* may be left out.
";

/// How deep tables may lie in tables; more is a type that holds itself.
const DEEPEST: usize = 8;

/// The page about these sections, each a name and the name of its type.
///
/// # Errors
/// What a field lacks or has that cannot be told: no comment, a type of no known kind, an attribute of serde that
/// changes its name or shape.
pub(super) fn page(files: &[File], sections: &[(&str, &str)]) -> Result<String, String> {
    let types = files.iter().flat_map(|file| &file.items).filter_map(|item| match item {
        Item::Struct(item) if !is_tuple(item) => Some(Of::Struct(item)),
        Item::Enum(item) if is_tagged(item) => Some(Of::Enum(item)),
        _ => None,
    });
    let mut reference = Reference { types: types.collect(), tables: Vec::new() };
    for (name, kind) in sections {
        match name.strip_suffix("[]") {
            Some(list) => reference.add(&format!("[[{list}]]"), list, kind)?,
            None => reference.add(&format!("[{name}]"), name, kind)?,
        }
    }
    reference.write()
}

/// Gives the `Options` of a module a name that no other has; [`inner`] finds them by it.
pub(super) fn qualify_options(file: &mut File, module: &str) {
    for item in &mut file.items {
        if let Item::Struct(item) = item
            && item.ident == OPTIONS
        {
            item.ident = Ident::new(&format!("{module}_{OPTIONS}"), item.ident.span());
        }
    }
}

/// What many modules call the type of their configuration.
const OPTIONS: &str = "Options";

struct Reference<'a> {
    types: Vec<Of<'a>>,
    /// In the order of the page.
    tables: Vec<Table<'a>>,
}

/// A table of the configuration.
struct Table<'a> {
    /// As TOML writes it: `[server]`, `[[server.listen]]`.
    heading: String,
    of: Of<'a>,
}

/// What is read from a table.
#[derive(Clone, Copy)]
enum Of<'a> {
    Struct(&'a ItemStruct),
    /// One of several, of which the key `type` says the name.
    Enum(&'a ItemEnum),
}

impl<'a> Of<'a> {
    fn ident(self) -> &'a Ident {
        match self {
            Self::Struct(of) => &of.ident,
            Self::Enum(of) => &of.ident,
        }
    }

    fn attributes(self) -> &'a [Attribute] {
        match self {
            Self::Struct(of) => &of.attrs,
            Self::Enum(of) => &of.attrs,
        }
    }
}

impl<'a> Reference<'a> {
    /// Adds the table of a type, and those that lie in it.
    fn add(&mut self, heading: &str, path: &str, kind: &str) -> Result<(), String> {
        if path.split('.').count() > DEEPEST {
            return Err(format!("{path}: {kind} holds itself"));
        }
        let of = self.find(kind).ok_or_else(|| format!("no source has the type {kind}"))?;
        // What several types have in them is told once.
        let is_shared = matches!(of, Of::Enum(_)) || kind.ends_with(OPTIONS);
        if is_shared && self.tables.iter().any(|table| table.of.ident() == kind) {
            return Ok(());
        }
        self.tables.push(Table { heading: heading.to_owned(), of });
        match of {
            Of::Struct(of) => of.fields.iter().try_for_each(|field| self.add_field(path, field)),
            Of::Enum(of) => of.variants.iter().try_for_each(|variant| match &variant.fields {
                Fields::Unnamed(fields) => fields.unnamed.iter().try_for_each(|field| {
                    let heading = format!("{heading} type = \"{}\"", snake_case(&variant.ident));
                    self.add(&heading, path, &inner(&field.ty).name)
                }),
                Fields::Named(_) | Fields::Unit => Ok(()),
            }),
        }
    }

    /// Adds the table of a field, if it is one.
    fn add_field(&mut self, path: &str, field: &Field) -> Result<(), String> {
        let (name, inner) = (name(field)?, inner(&field.ty));
        if self.find(&inner.name).is_none() {
            return Ok(());
        }
        let path = if inner.is_map { format!("{path}.{name}.NAME") } else { format!("{path}.{name}") };
        let heading = if inner.is_list { format!("[[{path}]]") } else { format!("[{path}]") };
        self.add(&heading, &path, &inner.name)
    }

    fn find(&self, kind: &str) -> Option<Of<'a>> {
        self.types.iter().find(|of| of.ident() == kind).copied()
    }

    fn write(&self) -> Result<String, String> {
        let mut page = HEAD.to_owned();
        for Table { heading, of } in &self.tables {
            // What further ones say is for those who make such values in code.
            let about = self.plain(paragraphs(of.attributes()).first().map_or("", String::as_str));
            let _ = write!(page, "\n## `{heading}`\n\n{about}\n\n");
            let fault = |error: String| format!("{}: {error}", of.ident());
            page.push_str(&self.rows(*of).map_err(fault)?);
        }
        Ok(page)
    }

    fn rows(&self, of: Of<'_>) -> Result<String, String> {
        let mut rows = String::new();
        match of {
            Of::Struct(of) => {
                rows.push_str("| key | value | what it says |\n| --- | --- | --- |\n");
                let all_have_defaults = serde(&of.attrs)?.has_default;
                for field in &of.fields {
                    rows.push_str(&self.row(field, all_have_defaults)?);
                }
            }
            Of::Enum(of) => {
                rows.push_str("| `type` | what it is |\n| --- | --- |\n");
                for variant in of.variants.iter() {
                    rows.push_str(&self.variant(variant)?);
                }
            }
        }
        Ok(rows)
    }

    /// The row of a type, with the keys that belong to it alone.
    fn variant(&self, variant: &Variant) -> Result<String, String> {
        let mut about = paragraphs(&variant.attrs);
        if about.is_empty() {
            return Err(format!("{} has no comment", variant.ident));
        }
        if let Fields::Named(fields) = &variant.fields {
            for field in &fields.named {
                about.push(format!("`{}`: {}", name(field)?, paragraphs(&field.attrs).join(" ")));
            }
        }
        let about = self.plain(&about.join(" ")).replace('|', "\\|");
        Ok(format!("| `{}` | {about} |\n", snake_case(&variant.ident)))
    }

    fn row(&self, field: &Field, all_have_defaults: bool) -> Result<String, String> {
        let name = name(field)?;
        let fault = |error: &str| format!("{name}: {error}");
        let serde = serde(&field.attrs).map_err(|error| fault(&error))?;
        let inner = inner(&field.ty);
        let kind = match (self.find(&inner.name), inner.is_list) {
            (_, true) => "list",
            (Some(_), false) if inner.is_map => "tables",
            (Some(_), false) => "table",
            (None, false) if inner.is_map => "table of texts",
            (None, false) => kind(serde.with.as_deref().unwrap_or(&inner.name)).ok_or_else(|| {
                fault(&format!("the kind of {} is not known to xtask/src/guide/reference.rs", inner.name))
            })?,
        };
        let required = !(all_have_defaults || serde.has_default || inner.is_option);
        let required = if required { ", required" } else { "" };
        let about = self.plain(&paragraphs(&field.attrs).join(" "));
        if about.is_empty() {
            return Err(fault("has no comment"));
        }
        Ok(format!("| `{name}` | {kind}{required} | {} |\n", about.replace('|', "\\|")))
    }

    /// Text without the links of rustdoc: those to types of the configuration become the names of their tables.
    fn plain(&self, text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, link)) = rest.split_once("[`") {
            let Some((target, after)) = link.split_once("`]") else { break };
            let heading = self.tables.iter().find(|table| table.of.ident() == target);
            let shown = heading.map_or(target, |table| table.heading.as_str());
            let _ = write!(plain, "{before}`{shown}`");
            rest = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
                Some((_, after)) => after,
                None => after,
            };
        }
        plain + rest
    }
}

/// How people write a value of a type, or of a module that serde reads it with.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name {
        "size" | "optional_size" => "size",
        "duration" => "time",
        "usize" | "u64" | "u32" | "u16" => "number",
        "bool" => "true or false",
        "String" | "PathBuf" | "Address" | "Backend" | "Category" | "Challenge" | "FileMode" | "Format"
        | "Forwarded" | "HostPolicy" | "Http" | "JobStore" | "Level" | "Levels" | "Mode" | "Protocol"
        | "Simple" | "Symlinks" | "Unknown" | "Version" | "WhileLost" | "Zone" => "text",
        "HostTls" => "text or table",
        "FrontServers" => "list",
        _ => return None,
    })
}

/// A type without the `Option`, `Vec` or `BTreeMap` around it.
#[derive(Default)]
struct Inner {
    name: String,
    is_list: bool,
    is_map: bool,
    is_option: bool,
}

fn inner(kind: &Type) -> Inner {
    let Type::Path(path) = kind else { return Inner::default() };
    let Some(last) = path.path.segments.last() else { return Inner::default() };
    let mut name = last.ident.to_string();
    // `proxy::Options`, as `qualify_options` calls it.
    if name == OPTIONS
        && let Some(module) = path.path.segments.iter().rev().nth(1)
    {
        name = format!("{}_{name}", module.ident);
    }
    let is_list = name == "Vec";
    let is_map = name == "BTreeMap";
    let is_option = name == "Option";
    if let PathArguments::AngleBracketed(arguments) = &last.arguments
        && (is_list || is_map || is_option)
        && let Some(GenericArgument::Type(held)) = arguments.args.last()
    {
        let held = inner(held);
        return Inner {
            is_list: is_list || held.is_list,
            is_map: is_map || held.is_map,
            is_option: is_option || held.is_option,
            name: held.name,
        };
    }
    Inner { name, is_list, is_map, is_option }
}

/// What matters here of the attributes of serde.
#[derive(Default)]
struct Serde {
    has_default: bool,
    /// The last name of the path in `with`.
    with: Option<String>,
}

fn serde(attributes: &[Attribute]) -> Result<Serde, String> {
    let mut serde = Serde::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let parsed = attribute.parse_nested_meta(|meta| {
            let value = if meta.input.peek(syn::Token![=]) {
                Some(meta.value()?.parse::<syn::LitStr>()?)
            } else {
                None
            };
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match key.as_str() {
                "default" => serde.has_default = true,
                "with" => {
                    let last = |path: String| path.rsplit("::").next().unwrap_or_default().to_owned();
                    serde.with = value.map(|path| last(path.value()));
                }
                "deny_unknown_fields" | "deserialize_with" | "remote" => {}
                other => return Err(meta.error(format!("serde's `{other}` is not known to the reference"))),
            }
            Ok(())
        });
        parsed.map_err(|error| error.to_string())?;
    }
    Ok(serde)
}

/// Whether a key says which of its variants a table is.
fn is_tagged(item: &ItemEnum) -> bool {
    let mut is_tagged = false;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        // The compiler has seen that there is no error in it.
        let _ = attribute.parse_nested_meta(|meta| {
            is_tagged |= meta.path.is_ident("tag");
            if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::LitStr>()?;
            }
            Ok(())
        });
    }
    is_tagged
}

/// The name of a variant as the configuration has it.
fn snake_case(name: &Ident) -> String {
    let mut snake = String::new();
    for char in name.to_string().chars() {
        if char.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
    }
    snake
}

fn is_tuple(item: &ItemStruct) -> bool {
    item.fields.iter().any(|field| field.ident.is_none())
}

fn name(field: &Field) -> Result<String, String> {
    field.ident.as_ref().map(|name| name.unraw().to_string()).ok_or_else(|| "a field has no name".to_owned())
}

/// The paragraphs of the comments, each as one line.
fn paragraphs(attributes: &[Attribute]) -> Vec<String> {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        text.push_str(&line.value());
        text.push('\n');
    }
    let paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(source: &str) -> Result<String, String> {
        let page = page(&[syn::parse_str(source).unwrap()], &[("web", "Web")])?;
        Ok(page.strip_prefix(HEAD).unwrap().to_owned())
    }

    #[test]
    fn fields_become_rows_and_types_tables() {
        let source = r#"
            struct Other(u8);
            /// Serves; see [`Door`].
            ///
            /// For programmers.
            #[serde(default, deny_unknown_fields)]
            struct Web {
                /// How often,
                /// default 3.
                times: u64,
                /// Where to.
                doors: Vec<Door>,
            }
            /// A door of [`Web`].
            #[serde(remote = "Self")]
            struct Door {
                /// `a|b`, unlike [`times`](Web::times).
                ///
                /// Short.
                name: String,
                /// How wide.
                #[serde(with = "crate::units::size", default = "wide")]
                r#type: u32,
                /// Whose.
                owner: Option<PathBuf>,
            }"#;
        let want = "\n## `[web]`\n\nServes; see `[[web.doors]]`.\n\n\
            | key | value | what it says |\n| --- | --- | --- |\n\
            | `times` | number | How often, default 3. |\n\
            | `doors` | list | Where to. |\n\
            \n## `[[web.doors]]`\n\nA door of `[web]`.\n\n\
            | key | value | what it says |\n| --- | --- | --- |\n\
            | `name` | text, required | `a\\|b`, unlike `times`. Short. |\n\
            | `type` | size | How wide. |\n\
            | `owner` | text | Whose. |\n";
        assert_eq!(page_of(source).unwrap(), want);
    }

    #[test]
    fn tables_by_name_and_type() {
        let source = r#"
            /// Serves.
            #[serde(default)]
            struct Web {
                /// By name.
                doors: BTreeMap<String, Door>,
            }
            /// A door.
            #[serde(tag = "type", rename_all = "snake_case")]
            enum Door {
                /// That turns.
                RevolvingDoor(Revolving),
                /// That slides.
                Sliding {
                    /// How far.
                    width: u64,
                },
            }
            /// A door that turns.
            struct Revolving {
                /// How many.
                wings: u32,
            }"#;
        let want = "\n## `[web]`\n\nServes.\n\n\
            | key | value | what it says |\n| --- | --- | --- |\n\
            | `doors` | tables | By name. |\n\
            \n## `[web.doors.NAME]`\n\nA door.\n\n\
            | `type` | what it is |\n| --- | --- |\n\
            | `revolving_door` | That turns. |\n\
            | `sliding` | That slides. `width`: How far. |\n\
            \n## `[web.doors.NAME] type = \"revolving_door\"`\n\nA door that turns.\n\n\
            | key | value | what it says |\n| --- | --- | --- |\n\
            | `wings` | number, required | How many. |\n";
        assert_eq!(page_of(source).unwrap(), want);
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        for (source, fault) in [
            ("struct Other {}", "no source has the type Web"),
            ("struct Web { a: u64 }", "Web: a: has no comment"),
            ("struct Web { /// A.\n a: Moon }", "Web: a: the kind of Moon is not known"),
            ("struct Web { /// A.\n #[serde(rename = \"b\")] a: u64 }", "serde's `rename` is not known"),
            ("struct Web { /// A.\n a: Vec<Web> }", "Web holds itself"),
        ] {
            let error = page_of(source).unwrap_err();
            assert!(error.contains(fault), "{source}: {error}");
        }
    }
}
