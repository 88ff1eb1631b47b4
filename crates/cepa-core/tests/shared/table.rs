//! Tables of requests and the answers they must get.

use cepa_core::{
    Ctx, Handler,
    test::{Answer, Client, block_on},
};
use http::Method;

/// A handler that says its name.
pub(crate) fn says(name: &'static str) -> impl Handler<&'static str> {
    async move |_: &mut Ctx| name
}

pub(crate) fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method of the table")
}

pub(crate) fn send(client: &Client, line: &str) -> Answer {
    let (name, target) = line.split_once(' ').expect("method and target");
    block_on(client.request(method(name), target))
}

/// Every line is `METHOD target`, its status, and the body.
pub(crate) fn answers(client: &Client, table: &[(&str, u16, &str)]) {
    for (line, status, body) in table {
        let answer = send(client, line);
        assert_eq!((answer.status().as_u16(), answer.text()), (*status, *body), "{line}");
    }
}
