use cepa_core::{
    App, Ctx, Next, Result,
    router::{Router, get},
};

use super::*;

async fn logger(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await
}

async fn guard(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await
}

async fn show(_: &mut Ctx) -> &'static str {
    "show"
}

fn onion() -> std::sync::Arc<Onion> {
    let inner = App::new().with(guard).get("/users/{id}", show).fallback(show);
    let admin = Router::new().with(guard).get("/", show);
    App::new()
        .with(logger)
        .get("/", async |_: &mut Ctx| "Hello")
        .route("/posts/{id:int}", get(show).put(show).name("post"))
        .all("/any", show)
        .host("admin.test", admin)
        .mount("/api", inner)
        .build()
        .unwrap()
}

fn explain(method: &str, host: &str, path: &str) -> String {
    let question = Question { method: method.parse().unwrap(), host: host.to_owned(), path: path.to_owned() };
    explanation(&onion(), &question)
}

#[test]
fn the_table_says_where_each_route_comes_from() {
    insta::assert_snapshot!(table(&onion()));
    assert_eq!(table(&App::new().build().unwrap()), "no routes\n");
}

#[test]
fn the_way_of_a_request_names_every_layer() {
    let ways = [
        explain("GET", "localhost", "/posts/7?draft=1"),
        explain("GET", "Admin.Test", "/"),
        explain("GET", "localhost", "/api/users/7"),
        explain("GET", "localhost", "/api/nothing"),
        explain("DELETE", "localhost", "/posts/7"),
        explain("GET", "localhost", "/nothing"),
        explain("BREW", "localhost", "/"),
    ];
    insta::assert_snapshot!(ways.join("\n"));
}
