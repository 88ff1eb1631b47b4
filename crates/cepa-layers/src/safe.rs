//! Makes text of strangers safe for the place where it is put: a page, a script, a link, a path, a command.
//!
//! The functions are those of Egg's `helper`, under shorter names. In templates they are filters under the names that
//! Egg has: `{{ comment|shtml }}`, and `sjs`, `sjson`, `surl`, `spath`; [views](crate::views()) know them without being
//! told.
//!
//! | place | function | Egg |
//! | --- | --- | --- |
//! | HTML, text and quoted attributes | [`escape`]; templates do it by themselves | `escape` |
//! | HTML that a visitor has written | [`html()`], [`Sanitizer`] | `shtml` |
//! | between quotes in a script | [`js`] | `sjs` |
//! | a value in a script | [`json`]; the filter `tojson` keeps strings as they are | `sjson` |
//! | `href` and `src` | [`url()`] | `surl` |
//! | a path of a file | [`path()`], [`is_inside`] | `spath`, `isSafePath` |
//! | a command for a shell | [`shell_arg`], [`shell_cmd`], [`word`]; better none | `escapeShellArg`, `escapeShellCmd`, `cliFilter` |
//! | a host that is trusted | [`Hosts`](crate::hosts::Hosts) | `isSafeDomain` |
//!
//! ```
//! use cepa_layers::safe;
//!
//! assert_eq!(safe::js("</script>"), r"\x3c\x2fscript\x3e");
//! assert_eq!(safe::html("<b onclick=x>hi</b><script>"), "<b>hi</b>&lt;script&gt;");
//! assert_eq!(safe::path("../etc/passwd"), None);
//! ```
//!
//! Each is for the place that it is named after and for no other: what is safe in a script is not so in a URL. All take
//! linear time and answer to any text.

mod html;
mod path;
mod script;
mod shell;
#[cfg(test)]
mod tests;
mod url;

pub use cepa_core::location::html_escape as escape;

pub use self::{
    html::{Rules, RulesError, Sanitizer, html},
    path::{is_inside, path},
    script::{js, json},
    shell::{shell_arg, shell_cmd, word},
    url::url,
};
