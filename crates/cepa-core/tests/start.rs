//! What is found out at start: faults of an app with their places, its routes, and its layers.

use cepa_core::{
    App, Ctx, Handler, Next, Result, StepKind,
    router::{Router, all, get},
};
use http::{Method, StatusCode};

fn says(name: &'static str) -> impl Handler<&'static str> {
    async move |_: &mut Ctx| name
}

fn fault(app: App) -> String {
    app.build().expect_err("the app has a fault").to_string()
}

#[test]
fn faults_are_found_at_start_all_at_once_and_with_their_places() {
    let first = line!() + 1;
    let app = App::new()
        .get("/users/{id}", says("a"))
        .get("/users/{name}", says("b"))
        .get("users", says("c"))
        .route("/x", get(says("d")).name("x"))
        .route("/y", get(says("e")).post(says("f")).name("x"))
        .host("example.com:80", Router::new().get("/", says("g")))
        .redirect("/r/{id}", "/s/{name}")
        .redirect("/brace", "/s/{")
        .redirect("/url", "https://user@example.com/")
        .redirect_with("/status", "/s", StatusCode::OK)
        .mount("/m", App::new().get("/in", says("h")).get("/in", says("i")))
        .mount("/m", says("j"));
    let text = fault(app);
    let at = |offset: u32| format!("tests/start.rs:{}:", first + offset);
    for (wanted, places) in [
        ("two routes answer GET /users/{name}", vec![1, 2]),
        ("route pattern \"users\", byte 0", vec![3]),
        ("two paths are named \"x\"", vec![4, 5]),
        ("\"example.com:80\" is no host", vec![6]),
        ("needs a parameter \"name\", which \"/r/{id}\" does not have", vec![7]),
        ("\"/s/{\" of a redirect holds a single brace", vec![8]),
        ("\"https://user@example.com/\" of a redirect leads nowhere", vec![9]),
        ("200 OK is no status of a redirect", vec![10]),
        ("two routes answer GET /in", vec![11, 11]),
        ("two routes answer every method /m\n", vec![11, 12]),
    ] {
        let start = text.find(wanted).unwrap_or_else(|| panic!("{wanted:?} is not in:\n{text}"));
        let lines: Vec<&str> = text[start..].lines().skip(1).take(places.len()).collect();
        for (line, offset) in std::iter::zip(&lines, places) {
            assert!(line.contains(&at(offset)), "{wanted}: {line} should be at {}", at(offset));
        }
    }
    assert_eq!(text.matches("every method").count(), 1, "one mount is one conflict:\n{text}");
}

#[test]
fn one_path_may_have_one_name_for_several_methods() {
    let app = App::new()
        .route("/a", get(says("get")).name("a"))
        .route("/a", all(says("all")).name("a"))
        .host("h.test", Router::new().route("/a", get(says("host")).name("a")));
    assert!(app.build().is_ok());
}

#[test]
fn routes_are_listed_and_their_layers_explained() {
    async fn outer(ctx: &mut Ctx, next: Next<'_>) -> Result {
        next.run(ctx).await
    }
    async fn show(_: &mut Ctx) {}
    let inner = App::new().with(outer).get("/u/{id}", show);
    let onion = App::new()
        .with(outer)
        .route("/a", get(show).with(outer).name("a"))
        .host("h.test", Router::new().post("/h", show))
        .mount("/m", inner)
        .mount("/files", says("files"))
        .build()
        .expect("the app builds");
    let listed: Vec<_> = onion
        .routes()
        .into_iter()
        .map(|route| {
            let method = route.method.map_or("*".to_owned(), |method| method.to_string());
            format!("{method} {}{}", route.host.unwrap_or_default(), route.path)
        })
        .collect();
    assert_eq!(listed, ["GET /a", "POST h.test/h", "GET /m/u/{id}", "* /files/…"]);

    let explain = |method: Method, path: &str| -> Vec<(usize, String)> {
        let steps = onion.explain(&method, "h.test", path);
        assert!(steps.iter().all(|step| step.place.is_some() || step.kind == StepKind::Status));
        steps.iter().map(|step| (step.depth, step.kind.to_string())).collect()
    };
    let steps = |list: &[(usize, &str)]| -> Vec<(usize, String)> {
        list.iter().map(|(depth, kind)| (*depth, (*kind).to_owned())).collect()
    };
    assert_eq!(explain(Method::GET, "/a"), steps(&[(0, "layer"), (0, "layer"), (0, "handler")]));
    assert_eq!(
        explain(Method::GET, "/m/u/7"),
        steps(&[(0, "layer"), (0, "mount"), (1, "layer"), (1, "handler")])
    );
    assert_eq!(explain(Method::PUT, "/a"), steps(&[(0, "layer"), (0, "answer")]));
    assert_eq!(explain(Method::GET, "/nowhere"), steps(&[(0, "layer"), (0, "answer")]));
}
