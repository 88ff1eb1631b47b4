use cepa_core::{App, test::block_on};
use serde_json::json;

use super::*;
use crate::{ValidateExt, validate};

fn app(on_error: OnError) -> App {
    App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("access-control-allow-origin", "*")?;
            next.run(ctx).await
        })
        .with(on_error)
        .get("/taken", async |_: &mut Ctx| -> Result { Err(Error::new(409, "<taken>")) })
        .get("/breaks", async |_: &mut Ctx| -> Result {
            let _: u32 = "secret".parse().map_err(|error| Error::new(500, "hidden").with_cause(error))?;
            Ok(())
        })
        .get("/panics", async |_: &mut Ctx| -> Result { panic!("secret") })
        .get("/bare", async |ctx: &mut Ctx| ctx.set_status(403))
        .get("/own", async |ctx: &mut Ctx| {
            ctx.set_status(400)?;
            ctx.set_body("mine")
        })
        .get("/problem", async |_: &mut Ctx| -> Result {
            Err(Problem::new().kind("/p").with("errors", ["a"])?.error(422, "wrong"))
        })
}

#[test]
fn the_client_chooses_the_form() {
    let client = app(on_error(Options::default())).test();
    let problem = r#"{"title":"Conflict","status":409,"detail":"<taken>"}"#;
    block_on(async {
        for (accept, kind, body) in [
            ("", "application/problem+json", problem),
            ("*/*", "application/problem+json", problem),
            ("application/json", "application/problem+json", problem),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8", "<p>&lt;taken&gt;</p>"),
            ("text/plain, application/json;q=0.5", "text/plain; charset=utf-8", "<taken>"),
            ("image/png", "text/plain; charset=utf-8", "<taken>"),
        ] {
            let call = client.get("/taken");
            let answer = if accept.is_empty() { call } else { call.header("accept", accept) }.await;
            assert_eq!((answer.status().as_u16(), answer.header("content-type")), (409, kind), "{accept}");
            assert!(answer.text().contains(body), "{}", answer.text());
            assert_eq!(answer.header("vary").to_lowercase(), "accept");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    });
}

#[test]
fn only_what_is_public_is_told() {
    let client = app(on_error(Options::default())).test();
    block_on(async {
        for (path, status, body) in [
            ("/breaks", 500, r#"{"title":"Internal Server Error","status":500}"#),
            ("/panics", 500, r#"{"title":"Internal Server Error","status":500}"#),
            ("/bare", 403, r#"{"title":"Forbidden","status":403}"#),
            ("/nowhere", 404, r#"{"title":"Not Found","status":404}"#),
            (
                "/problem",
                422,
                r#"{"type":"/p","title":"Unprocessable Entity","status":422,"detail":"wrong","errors":["a"]}"#,
            ),
            ("/own", 400, "mine"),
        ] {
            let answer = client.get(path).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (status, body), "{path}");
            for accept in ["text/html", "text/plain"] {
                let answer = client.get(path).header("accept", accept).await;
                assert_eq!(answer.status().as_u16(), status);
                assert!(!answer.text().contains("secret") && !answer.text().contains("hidden"));
            }
        }
        assert_eq!(client.head("/breaks").await.text(), "");
    });
}

#[derive(Deserialize, garde::Validate)]
struct User {
    #[garde(range(max = 150))]
    age: u8,
}

#[test]
fn what_validation_has_found_is_told_in_every_form() {
    let user = async |ctx: &mut Ctx| ctx.valid_json::<User>().await.map(|user| user.age.to_string());
    let client = App::new().with(on_error(Options::default())).post("/", user).test();
    let with_layer = App::new().with(on_error(Options::default())).with(validate(Default::default()));
    let with_layer = with_layer.post("/", user).test();
    let call = |client: &cepa_core::test::Client, accept: &str| {
        block_on(client.post("/").header("accept", accept).json(&json!({ "age": 200 })))
    };
    let answer = call(&client, "*/*");
    assert_eq!((answer.status().as_u16(), answer.header("content-type")), (422, "application/problem+json"));
    let mut told: serde_json::Value = answer.json();
    let finding = json!({
        "detail": "greater than 150", "pointer": "#/age", "field": "age", "code": "invalid"
    });
    assert_eq!(told["errors"], json!([finding]));
    told["type"] = "about:blank".into();
    assert_eq!(told, call(&with_layer, "*/*").json::<serde_json::Value>(), "the layer's answer is the same");
    for client in [client, with_layer] {
        let page = call(&client, "text/html");
        assert!(page.text().contains("<li>age: greater than 150\n"), "{}", page.text());
        assert_eq!(page.status(), 422);
    }
    let client = App::new().with(on_error(Options::default())).post("/", user).test();
    assert_eq!(call(&client, "text/plain").text(), "Validation Failed\nage: greater than 150");
}

#[test]
fn a_developer_is_told_everything_but_credentials() {
    let client = app(on_error(Options { development: true, ..Options::default() })).test();
    block_on(async {
        let call = client.get("/breaks?<b>").header("accept", "text/html");
        let answer = call.header("authorization", "Basic abc").header("x-api-key", "abc").await;
        let page = answer.text();
        for expected in [
            "<h1>500 hidden</h1>",
            "invalid digit found in string",
            "crates/cepa-layers/src/on_error/tests.rs:",
            "map_err(|error| Error::new(500, &quot;hidden&quot;).with_cause(error))?;</mark>",
            "/breaks?&lt;b&gt;",
            "<th>layer<td>cepa_layers::on_error::OnError",
            "<th>handler",
            "<tr><th>authorization<td>…",
            "<tr><th>x-api-key<td>…",
        ] {
            assert!(page.contains(expected), "{expected} is not in {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("abc"), "{page}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));

        let json: serde_json::Value = client.get("/breaks").await.json();
        assert_eq!(json["development"]["message"], "hidden");
        assert_eq!(json["development"]["causes"][0], "invalid digit found in string");
        let answer = client.get("/panics").header("accept", "text/plain").await;
        assert!(answer.text().contains("because: panicked: secret"), "{}", answer.text());
    });
}

#[test]
fn pages_of_ones_own() {
    let own = on_error(Options { prefer: Form::Html, ..Options::default() }).page(|ctx, failure| {
        ctx.assert(failure.status != 403, 500, "no page for that")?;
        Ok(format!("<p>{} at {}</p>", failure.title, ctx.path()))
    });
    let client = app(own).test();
    block_on(async {
        assert_eq!(client.get("/nowhere").await.text(), "<p>Not Found at /nowhere</p>");
        assert!(client.get("/bare").await.text().contains("<h1>403 Forbidden</h1>"));
    });
}
