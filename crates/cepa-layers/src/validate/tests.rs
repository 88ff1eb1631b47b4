//! Requests that are right and wrong, over the test client.

use cepa_core::{App, router::get, test::block_on};
use garde::Validate as _;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, garde::Validate)]
struct Order {
    #[garde(length(chars, min = 1, max = 3))]
    name: String,
    #[garde(length(max = 4), dive)]
    items: Vec<Item>,
    #[garde(range(min = 1))]
    page: Option<u32>,
}

#[derive(Debug, Deserialize, garde::Validate)]
struct Item {
    #[garde(range(min = 1, max = 9))]
    count: u8,
}

#[derive(Debug, Deserialize, garde::Validate)]
struct Page {
    #[garde(range(min = 1))]
    page: u32,
    #[serde(default)]
    #[garde(length(max = 1))]
    tag: Vec<String>,
}

fn app() -> App {
    let rules = json!({"name": "string", "age": {"type": "int", "min": 1}, "o": {"type": "object?", "rule": {"x": "int"}}});
    let rules = Rules::from_value(&rules).unwrap();
    App::new()
        .with(validate(Options::default()))
        .post("/json", async |ctx: &mut Ctx| {
            let order: Order = ctx.valid_json().await?;
            Ok::<_, Error>(format!("{} {} {:?}", order.name, order.items.len(), order.page))
        })
        .post("/form", async |ctx: &mut Ctx| {
            let page: Page = ctx.valid_form().await?;
            Ok::<_, Error>(format!("{} {:?}", page.page, page.tag))
        })
        .post("/again", async |ctx: &mut Ctx| match ctx.check_form::<Page>().await? {
            Ok(page) => ctx.set_body(page.page.to_string()),
            Err(rejected) => ctx.set_json(&rejected),
        })
        .post("/rules", async move |ctx: &mut Ctx| {
            Ok::<_, Error>(cepa_core::Json(ctx.valid_body(&rules).await?))
        })
        .get("/query", async |ctx: &mut Ctx| ctx.valid_query::<Page>().map(|page| page.page.to_string()))
        .route(
            "/pages/{page}",
            get(async |ctx: &mut Ctx| ctx.valid_params::<Page>().map(|page| page.page.to_string())),
        )
}

/// The errors of a problem, as lines of place and detail.
fn errors(answer: &cepa_core::test::Answer) -> String {
    assert_eq!(answer.status(), 422, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem: Value = answer.json();
    assert_eq!(
        (&problem["type"], &problem["title"], &problem["status"], &problem["detail"], &problem["code"]),
        (
            &json!("about:blank"),
            &json!("Unprocessable Content"),
            &json!(422),
            &json!("Validation Failed"),
            &json!("invalid_param")
        )
    );
    let lines = problem["errors"].as_array().unwrap().iter().map(|error| {
        let place = error.get("pointer").or(error.get("parameter")).unwrap().as_str().unwrap();
        format!("{place} {}", error["detail"].as_str().unwrap())
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[test]
fn json_is_checked_field_by_field() {
    let client = app().test();
    block_on(async {
        let fine = json!({"name": "Ada", "items": [{"count": 1}]});
        assert_eq!(client.post("/json").json(&fine).await.text(), "Ada 1 None");
        let wrong = json!({"name": "", "items": [{"count": 1}, {"count": 10}], "page": 0});
        assert_eq!(
            errors(&client.post("/json").json(&wrong).await),
            "#/items/1/count greater than 9; #/name length is lower than 1; #/page lower than 1"
        );
        let wrong = json!({"name": "Ada", "items": [{"count": "1"}]});
        assert_eq!(
            errors(&client.post("/json").json(&wrong).await),
            "#/items/0/count invalid type: string \"1\", expected u8"
        );
        assert_eq!(errors(&client.post("/json").json(&json!({"name": "Ada"})).await), "#/items required");
        assert_eq!(
            client.post("/json").header("content-type", "application/json").body("{").await.status(),
            400
        );
        assert_eq!(client.post("/json").form(&[("name", "Ada")]).await.status(), 415);
    });
}

#[test]
fn forms_queries_and_parameters_are_checked_too() {
    let client = app().test();
    block_on(async {
        assert_eq!(client.post("/form").form(&[("page", "2"), ("tag", "a")]).await.text(), "2 [\"a\"]");
        assert_eq!(errors(&client.post("/form").form(&[("page", "0")]).await), "#/page lower than 1");
        assert_eq!(errors(&client.post("/form").form(&[]).await), "#/page required");
        assert_eq!(errors(&client.post("/form").form(&[("page", "x")]).await), "#/page expected u32");
        let many = vec![("a", "b"); 1001];
        assert_eq!(client.post("/form").form(&many).await.status(), 413);
        assert_eq!(client.post("/form").json(&json!({})).await.status(), 415);
        assert_eq!(client.get("/query?page=3").await.text(), "3");
        assert_eq!(
            errors(&client.get("/query?page=0&tag=a&tag=b").await),
            "page lower than 1; tag length is greater than 1"
        );
        assert_eq!(errors(&client.get("/query?page=1&page=2").await), "page given more than once");
        assert_eq!(client.get("/pages/3").await.text(), "3");
        assert_eq!(errors(&client.get("/pages/0").await), "page lower than 1");
        assert_eq!(client.get("/pages/x").await.status(), 404);
    });
}

#[test]
fn a_form_comes_back_with_what_was_written() {
    let client = app().test();
    block_on(async {
        let form = [("page", "0"), ("tag", "<a>"), ("tag", "b"), ("other", "")];
        let shown: Value = client.post("/again").form(&form).await.json();
        assert_eq!(shown["values"], json!({"page": "0", "tag": ["<a>", "b"], "other": ""}));
        assert_eq!(shown["errors"], json!({"page": ["lower than 1"], "tag": ["length is greater than 1"]}));
        assert_eq!(client.post("/again").form(&[("page", "7")]).await.text(), "7");
    });
}

#[test]
fn a_page_shows_a_rejected_form_again() {
    let dir = tempfile::tempdir().unwrap();
    let form = r#"<input value="{{ values.page|default }}">{% for told in errors.page|default([]) %}{{ told }}{% endfor %}"#;
    std::fs::write(dir.path().join("form.html"), form).unwrap();
    let views = crate::views(crate::views::Options { dir: dir.path().to_owned(), ..Default::default() });
    let app = App::new().provide(views.unwrap()).post("/", async |ctx: &mut Ctx| {
        match ctx.check_form::<Page>().await? {
            Ok(page) => ctx.set_body(page.page.to_string()),
            Err(rejected) => crate::ViewsExt::render(ctx, "form.html", &rejected),
        }
    });
    let client = app.test();
    for (sent, expected) in [
        (&[("page", "\"<0")][..], r#"<input value="&quot;&lt;0">expected u32"#),
        (&[], r#"<input value="">required"#),
        (&[("page", "1"), ("tag", "a"), ("tag", "b")], r#"<input value="1">"#),
    ] {
        assert_eq!(block_on(client.post("/").form(sent)).text(), expected);
    }
}

#[test]
fn rules_take_json_and_forms_and_drop_what_they_do_not_name() {
    let client = app().test();
    block_on(async {
        let body = json!({"name": "a", "age": 3, "admin": true, "o": {"x": 1, "y": 2}});
        assert_eq!(
            client.post("/rules").json(&body).await.json::<Value>(),
            json!({"name": "a", "age": 3, "o": {"x": 1}})
        );
        let form = [("name", "a"), ("age", "3"), ("admin", "1")];
        assert_eq!(client.post("/rules").form(&form).await.json::<Value>(), json!({"name": "a", "age": 3}));
        let wrong = json!({"age": "3", "o": {"x": "y"}});
        assert_eq!(
            errors(&client.post("/rules").json(&wrong).await),
            "#/name required; #/age should be an integer; #/o/x should be an integer"
        );
        assert_eq!(
            errors(&client.post("/rules").json(&json!([])).await),
            "# the validated value should be a object"
        );
        assert_eq!(client.post("/rules").header("content-type", "text/plain").body("a").await.status(), 415);
    });
}

#[test]
fn browsers_get_the_page_of_an_outer_layer_and_other_errors_pass() {
    let outer = async |ctx: &mut Ctx, next: Next<'_>| {
        let Err(error) = next.run(ctx).await else { return Ok(()) };
        let place = error.place().file().rsplit('/').next().unwrap_or_default();
        let text =
            format!("{} {} {place}", error.status().as_u16(), error.downcast_ref::<Invalid>().is_some());
        ctx.fail(&error);
        ctx.set_body(text)
    };
    let query = async |ctx: &mut Ctx| ctx.valid_query::<Page>().map(drop);
    let client = App::new().with(outer).with(validate(Options::default())).get("/", query).test();
    let always = Options { always: true, kind: Some("/problems/invalid".into()) };
    let always = App::new().with(outer).with(validate(always)).get("/", query).test();
    block_on(async {
        let browser = client.get("/").header("accept", "text/html,*/*;q=0.8").await;
        assert_eq!((browser.text(), browser.header("vary")), ("422 true tests.rs", "Accept"));
        assert_eq!(client.get("/nowhere").await.status(), 404);
        assert_eq!(client.get("/").await.header("content-type"), "application/problem+json");
        let answer = always.get("/").header("accept", "text/html").await;
        assert_eq!(answer.json::<Value>()["type"], "/problems/invalid");
    });
}

#[test]
fn without_the_layer_the_message_is_public() {
    let app = App::new().get("/", async |ctx: &mut Ctx| ctx.valid_query::<Page>().map(drop));
    let answer = block_on(app.test().get("/"));
    assert_eq!((answer.status().as_u16(), answer.text()), (422, "Validation Failed"));
}

#[test]
fn findings_of_a_flood_are_few() {
    let items = (0..100_000).map(|_| Item { count: 0 }).collect();
    let order = Order { name: "a".into(), items, page: None };
    assert!(order.validate().is_err());
    assert_eq!(checked(order).unwrap_err().len(), 100);
}
