//! A listing as a page.

use cepa_core::{location::html_escape, percent};

use super::list::{Entry, Key, Listing, Order};

/// The page: a table without style or script, so that no content security policy stands in its way.
pub(super) fn page(path: &str, listing: &Listing, sorted: (Key, Order)) -> String {
    let title = html_escape(path);
    let mut out = String::with_capacity(512 + 160 * listing.entries.len());
    for text in [
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Index of /",
        &title,
        "</title>\n</head>\n<body>\n<h1>Index of /",
        &title,
        "</h1>\n<table>\n<thead><tr>",
    ] {
        out.push_str(text);
    }
    for key in Key::ALL {
        push_heading(&mut out, key, sorted);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    if !path.is_empty() {
        out.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in &listing.entries {
        push_row(&mut out, entry);
    }
    out.push_str("</tbody>\n</table>\n");
    if listing.cut {
        out.push_str("<p>There is more than is shown here.</p>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// A column's head: a link that sorts by it, and turns the order round where it does so already.
fn push_heading(out: &mut String, key: Key, sorted: (Key, Order)) {
    let order = if sorted == (key, Order::Ascending) { "desc" } else { "asc" };
    let name = key.name();
    for text in ["<th><a href=\"?sort=", name, "&amp;order=", order, "\">", name, "</a></th>"] {
        out.push_str(text);
    }
}

fn push_row(out: &mut String, entry: &Entry) {
    let slash = if entry.directory { "/" } else { "" };
    // With a dot in front, a name with a colon is no scheme.
    out.push_str("<tr><td><a href=\"./");
    percent::push_component(out, &entry.name, false);
    // An apostrophe stays as it is, which is well within double quotes.
    for text in [slash, "\">", &html_escape(&entry.name), slash, "</a></td><td>"] {
        out.push_str(text);
    }
    if !entry.directory {
        out.push_str(&size(entry.size));
    }
    let modified = entry.modified.as_deref().unwrap_or_default();
    for text in ["</td><td><time>", modified, "</time></td></tr>\n"] {
        out.push_str(text);
    }
}

/// A size as people read it: `17 B`, `1.5 KiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // 1024 to the power of the unit that leaves at least 1 before the point.
    let power = bytes.ilog2() / 10;
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
