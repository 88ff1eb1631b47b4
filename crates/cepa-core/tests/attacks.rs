//! Attacks on what an app says and reads, by name.

use cepa_core::{App, Ctx, Result, cookie::CookieOptions, test::block_on};
use http::Method;

/// What ends a header line, and what only looks like it.
const LINE_ENDS: [&str; 5] =
    ["\r\nset-cookie: a=b", "\nset-cookie: a=b", "\rset-cookie: a=b", "\0", "\u{560a}set-cookie: a=b"];

#[test]
fn header_injection() {
    async fn handler(ctx: &mut Ctx) -> Result<String> {
        let text = ctx.query_value("text").map(|text| text.into_owned()).unwrap_or_default();
        // Whatever is refused is refused as a whole; what is taken is made harmless.
        let refused = [
            ctx.set("x-text", text.as_str()).is_err(),
            ctx.append("x-text", text.as_str()).is_err(),
            ctx.set(text.as_str(), "x").is_err(),
            ctx.vary(&text).is_err(),
            ctx.set_type(&format!("text/{text}")).is_err(),
            ctx.set_etag(&text).is_err(),
            ctx.set_cache_control(&text).is_err(),
            ctx.cookies().set("name", &text, &CookieOptions::default()).is_err(),
            ctx.cookies().set(&text, "value", &CookieOptions::default()).is_err(),
        ];
        ctx.attachment(text.as_str())?;
        ctx.redirect(&format!("/{text}"))?;
        let refused = refused.iter().filter(|refused| **refused).count();
        ctx.set("x-refused", refused.to_string())?;
        Ok(String::new())
    }
    let client = App::new().get("/", handler).test();
    block_on(async {
        for end in LINE_ENDS {
            let query = form_of("text", end);
            let answer = client.get(&format!("/?{query}")).await;
            assert!(answer.status().is_redirection(), "{end:?}: {}", answer.text());
            // The last one holds no control character: some values may have it.
            assert!(!end.is_ascii() || answer.header("x-refused") == "9", "{end:?}");
            for (name, value) in answer.headers() {
                let bytes = value.as_bytes();
                assert!(
                    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
                    "{end:?}: {name}: {value:?}"
                );
                assert!(!(name == "set-cookie" && bytes.starts_with(b"a=b")), "{end:?}: {value:?}");
            }
        }
    });
}

/// Names that are equal under hashes which take 31 times what was, plus a byte: `Aa` and `BB`, and all texts of those.
fn colliding(count: usize) -> Vec<String> {
    (0..count).map(|n| (0..10).map(|bit| if n >> bit & 1 == 0 { "Aa" } else { "BB" }).collect()).collect()
}

#[test]
fn hash_flooding() {
    async fn handler(ctx: &mut Ctx) -> Result<String> {
        if ctx.method() == Method::POST {
            let form = ctx.form::<std::collections::HashMap<String, String>>().await?;
            return Ok(form.len().to_string());
        }
        Ok(ctx.query_pairs().count().to_string())
    }
    let names = colliding(1024);
    let form =
        |count: usize| names[..count].iter().map(|name| format!("{name}=1")).collect::<Vec<_>>().join("&");
    let client = App::new().get("/", handler).post("/", handler).test();
    block_on(async {
        assert_eq!(client.get(&format!("/?{}", form(1000))).await.text(), "1000");
        assert_eq!(client.get(&format!("/?{}", form(1024))).await.text(), "1000", "no more are read");
        for (count, status) in [(1000, 200), (1024, 413)] {
            let call = client.post("/").header("content-type", "application/x-www-form-urlencoded");
            assert_eq!(call.body(form(count)).await.status(), status, "{count}");
        }
    });
}

fn form_of(name: &str, value: &str) -> String {
    let mut url = String::new();
    cepa_core::router::append_query(&mut url, [(name, value)]);
    url.trim_start_matches('?').to_owned()
}
