//! The pages: a plain one for everybody, and one for developers.

use std::{borrow::Cow, fmt::Write};

use cepa_core::location::html_escape;

use super::{
    Failure,
    report::{Excerpt, Report},
};

/// The page that tells what may be told, without a style: no policy can get in its way.
pub(super) fn plain(failure: &Failure<'_>) -> String {
    let Failure { status, title, detail, id, .. } = failure;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{status} {title}</title>\n<h1>{status} {title}</h1>\n"
    );
    if let Some(detail) = detail {
        put(&mut page, format_args!("<p>{}</p>\n", html_escape(detail)));
    }
    let mut findings = failure.findings().peekable();
    if findings.peek().is_some() {
        page.push_str("<ul>\n");
        for (field, message) in findings {
            put(&mut page, format_args!("<li>{}: {}\n", html_escape(&field), html_escape(message)));
        }
        page.push_str("</ul>\n");
    }
    if let Some(id) = id {
        put(&mut page, format_args!("<p>Request <code>{}</code></p>\n", html_escape(id)));
    }
    page
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;\
color:#222;background:#fff}h1{font-size:1.4em;margin:0}h2{font-size:1em;margin:2em 0 .5em}\
code,pre,td,th{font:14px/1.5 ui-monospace,monospace}pre{background:#f5f3ef;padding:.7em;overflow:auto}\
mark{background:#ffd9d4;display:inline-block;width:100%}.path{color:#777}.not-run{opacity:.5}\
table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.1em 1em .1em 0;\
overflow-wrap:anywhere}th{font-weight:normal;color:#777;white-space:nowrap}";

/// The page with all that is known. Every value in it is escaped: much of it the client has sent.
pub(super) fn development(failure: &Failure<'_>, report: &Report) -> String {
    let Failure { status, title, .. } = failure;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>{status} {title}</title>\n<style>{STYLE}</style>\n<p class=\"path\">{} {}</p>\n\
         <h1>{status} {}</h1>\n",
        html_escape(&report.method),
        html_escape(&report.url),
        html_escape(report.message.as_deref().unwrap_or(title)),
    );
    if !report.causes.is_empty() {
        page.push_str("<h2>Because</h2>\n<ol>\n");
        for cause in &report.causes {
            put(&mut page, format_args!("<li><code>{}</code>\n", html_escape(cause)));
        }
        page.push_str("</ol>\n");
    }
    if let Some(place) = &report.place {
        put(&mut page, format_args!("<h2>Made at</h2>\n<p><code>{}</code></p>\n", html_escape(&place.at)));
        excerpt(&mut page, place.source.as_ref());
    }
    layers(&mut page, report);
    page.push_str("<h2>Request</h2>\n");
    table(&mut page, report.facts.iter().map(|(name, value)| (Cow::Borrowed(*name), value)));
    page.push_str("<h2>Headers</h2>\n");
    table(&mut page, report.headers.iter().map(|(name, value)| (html_escape(name), value)));
    page
}

fn excerpt(page: &mut String, source: Option<&Excerpt>) {
    let Some(source) = source else { return };
    page.push_str("<pre>");
    for (number, line) in (source.first..).zip(&source.lines) {
        let line = html_escape(line);
        match number == source.marked {
            true => put(page, format_args!("<mark>{number:>5}  {line}</mark>\n")),
            false => put(page, format_args!("{number:>5}  {line}\n")),
        }
    }
    page.push_str("</pre>\n");
}

fn layers(page: &mut String, report: &Report) {
    page.push_str("<h2>Layers, from the outside in</h2>\n<table>\n");
    for step in &report.layers {
        put(
            page,
            format_args!(
                "<tr{}><th>{}<td>{}{}<td class=\"path\">{}\n",
                if step.may_have_run { "" } else { " class=\"not-run\"" },
                html_escape(&step.kind),
                html_escape(&step.name),
                if step.is_origin { " ← the error was made in its source" } else { "" },
                html_escape(step.place.as_deref().unwrap_or_default()),
            ),
        );
    }
    page.push_str("</table>\n");
}

fn table<'a>(page: &mut String, rows: impl Iterator<Item = (Cow<'a, str>, &'a String)>) {
    page.push_str("<table>\n");
    for (name, value) in rows {
        put(page, format_args!("<tr><th>{name}<td>{}\n", html_escape(value)));
    }
    page.push_str("</table>\n");
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` does not fail.
    let _ = page.write_fmt(text);
}
