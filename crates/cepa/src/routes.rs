//! What `routes` prints: the table of routes, and the way of one request.

use std::panic::Location;

use cepa_core::{Onion, RouteInfo, Step};

use crate::command::Question;

/// All routes: method, path with the host, name, handler, and the place in the source.
pub(crate) fn table(onion: &Onion) -> String {
    let routes = onion.routes();
    if routes.is_empty() {
        return "no routes\n".to_owned();
    }
    let head = ["METHOD", "PATH", "NAME", "HANDLER", "PLACE"].map(str::to_owned);
    columns(std::iter::once(head).chain(routes.into_iter().map(row)).collect())
}

fn row(route: RouteInfo) -> [String; 5] {
    let method = route.method.map_or_else(|| "*".to_owned(), |method| method.to_string());
    let path = route.host.unwrap_or_default() + &route.path;
    [method, path, route.name.unwrap_or_else(|| "-".to_owned()), route.handler, place(route.place)]
}

/// The layers that a request passes, outermost first, and what answers it; what is mounted stands further in.
pub(crate) fn explanation(onion: &Onion, question: &Question) -> String {
    let Question { method, host, path } = question;
    // Routes are found by the path alone.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let steps = onion.explain(method, host, path);
    format!("{method} {host}{path}\n{}", columns(steps.into_iter().map(step).collect()))
}

fn step(step: Step) -> [String; 3] {
    let kind = format!("{}{}", "  ".repeat(step.depth + 1), step.kind);
    [kind, step.name, step.place.map(place).unwrap_or_default()]
}

fn place(place: &Location<'_>) -> String {
    format!("{}:{}", place.file(), place.line())
}

/// Rows as lines, each column as wide as its widest cell.
fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let start = text.len();
        for (width, cell) in widths.iter().zip(&row) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
