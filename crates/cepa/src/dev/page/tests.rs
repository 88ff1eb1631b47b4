use cepa_core::{
    App, Html,
    test::{Client, block_on},
};

use super::*;
use crate::dev::line::Trouble;

const TAG: &str = "<script src=\"/__dev/script.js\" defer></script>\n";

/// The app as `dev` has it, and what changes the state of its pages.
fn developed(app: App) -> (Client, watch::Sender<State>) {
    let (sender, state) = watch::channel(State { page: "7-1".to_owned(), ..State::default() });
    let app = app.into_handler().unwrap();
    (App::new().with(Pages { app, state }).test(), sender)
}

#[test]
fn pages_have_the_script_and_nothing_else_has() {
    let stream = |pieces: [&'static str; 2]| {
        Body::from_async(async move |mut writer| {
            for piece in pieces {
                writer.write(piece).await;
            }
            Ok(())
        })
    };
    let app = App::new()
        .get("/whole", async |_: &mut Ctx| Html("<body>one</BODY></html>"))
        .get("/piece", async |_: &mut Ctx| Html("<p>one"))
        .get("/stream", async move |ctx: &mut Ctx| {
            ctx.set_type("html")?;
            ctx.set_body(stream(["<body>o", "ne</body>"]))
        })
        .get("/text", async |_: &mut Ctx| "plain </body>")
        .get("/packed", async |ctx: &mut Ctx| {
            ctx.set(header::CONTENT_ENCODING, "gzip")?;
            ctx.set_body(Html("packed"))
        })
        .get("/coding", async |ctx: &mut Ctx| ctx.get(header::ACCEPT_ENCODING).unwrap_or("none").to_owned());
    let (client, _state) = developed(app);
    block_on(async {
        for (path, text) in [
            ("/whole", format!("<body>one{TAG}</BODY></html>")),
            ("/piece", format!("<p>one{TAG}")),
            ("/stream", format!("<body>one</body>{TAG}")),
            ("/text", "plain </body>".to_owned()),
            ("/packed", "packed".to_owned()),
            ("/coding", "none".to_owned()),
        ] {
            let answer = client.get(path).header("accept-encoding", "gzip").await;
            assert_eq!(answer.text(), text, "{path}");
            let told = answer.header("server-timing");
            assert_eq!(told, if text.contains(TAG) { "cepa-dev;desc=\"7-1\"" } else { "" }, "{path}");
        }
        // What a script asks for is put into a page that has it.
        let piece = client.get("/piece").header("sec-fetch-dest", "empty").await;
        assert_eq!(piece.text(), "<p>one");
    });
}

#[test]
fn the_policy_of_a_page_allows_the_script() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        ctx.append(header::CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'nonce-abc'")?;
        ctx.append(header::CONTENT_SECURITY_POLICY, "img-src 'self'")?;
        ctx.set_body(Html("<p>one"))
    });
    let (client, _state) = developed(app);
    block_on(async {
        let page = client.get("/").await;
        assert!(page.text().ends_with("<script src=\"/__dev/script.js\" nonce=\"abc\" defer></script>\n"));
        let policies: Vec<_> = page.headers().get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(
            policies,
            [
                "default-src 'none'; script-src 'nonce-abc' localhost/__dev/; connect-src localhost/__dev/",
                "img-src 'self'"
            ]
        );
    });
}

#[test]
fn errors_are_pages_to_people_and_what_they_were_to_programs() {
    let app = App::new().get("/fails", async |_: &mut Ctx| Err::<(), _>(Error::new(409, "<taken>"))).get(
        "/own",
        async |ctx: &mut Ctx| {
            ctx.set_status(418)?;
            ctx.set_json(&7)
        },
    );
    let (client, _state) = developed(app);
    block_on(async {
        for (path, status, part) in
            [("/none", 404, "<pre>404 Not Found</pre>"), ("/fails", 409, "<pre>&lt;taken&gt;</pre>")]
        {
            let page = client.get(path).header("accept", "text/html,*/*").await;
            assert_eq!(
                (page.status().as_u16(), page.header("content-type")),
                (status, "text/html; charset=utf-8")
            );
            assert!(page.text().contains(part) && page.text().contains(TAG), "{}", page.text());
            let answer = client.get(path).header("accept", "*/*").await;
            assert_eq!(
                (answer.status().as_u16(), answer.header("content-type")),
                (status, "text/plain; charset=utf-8")
            );
        }
        let own = client.get("/own").header("accept", "text/html").await;
        assert_eq!((own.status().as_u16(), own.text()), (418, "7"));
    });
}

#[test]
fn the_script_knows_the_page_and_events_tell_of_changes() {
    let (client, state) = developed(App::new());
    block_on(async {
        let script = client.get("/__dev/script.js").await;
        assert_eq!(script.header("cache-control"), "no-store");
        assert!(script.text().contains("told ?? \"7-1\""));
    });
    let trouble = Trouble::new("The build has failed", "a\nb");
    state.send_modify(|state| state.trouble = Some(trouble));
    let told = String::from_utf8(event(&state.borrow()).to_vec()).unwrap();
    assert_eq!(
        told,
        "data: {\"page\":\"7-1\",\"building\":false,\"trouble\":{\"title\":\"The build has failed\",\"text\":\"a\\nb\"}}\n\n"
    );
}
