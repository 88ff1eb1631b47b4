//! Layers within layers, and layers that are wrong.

use super::*;

#[test]
fn a_session_is_an_object_with_names_of_its_own() {
    let app = App::new().keys(keys()).with(session(Options::default()).unwrap());
    let client = app
        .get("/", async |ctx: &mut Ctx| -> Result {
            let session = ctx.session()?;
            assert!(session.is_new() && session.is_empty());
            assert!(session.set("_expire", &0).is_err());
            assert!(session.update("_x", |n: Option<u8>| n).is_err());
            assert!(session.replace("oops").is_err());
            assert!(session.replace(&json!({"a": 1, "_b": 2})).is_err());
            session.replace(&json!({"a": 1, "b": [true], "c": 3}))?;
            assert_eq!((session.get::<u8>("a")?, session.get::<u8>("z")?), (Some(1), None));
            assert!(session.get::<String>("a").is_err());
            assert_eq!(session.take::<Vec<bool>>("b")?, Some(vec![true]));
            assert!(!session.remove("b") && session.remove("c"));
            session.update("n", |n: Option<u8>| Some(n.unwrap_or(5) + 1))?;
            session.update("a", |_: Option<u8>| None)?;
            assert_eq!(Value::Object(session.values().clone()), json!({"n": 6}));
            assert_eq!(session.len(), 1);
            session.clear();
            Ok(())
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.status().as_u16(), lines(&answer)), (404, 0));
}

#[test]
fn the_innermost_layer_counts_and_none_is_an_error() {
    let named = |key: &str| session(Options { key: key.to_owned(), ..Options::koa() }).unwrap();
    let app = App::new().keys(keys()).get("/without", async |ctx: &mut Ctx| ctx.session().map(drop)).mount(
        "/in",
        App::new()
            .with(named("outer"))
            .with(named("inner"))
            .get("/", async |ctx: &mut Ctx| ctx.session()?.set("a", &1)),
    );
    let client = app.test();
    block_on(async {
        assert_eq!(client.get("/without").await.status(), 500);
        client.get("/in").await;
        assert!(client.cookie("inner").is_some() && client.cookie("outer").is_none());
    });
}

#[test]
fn the_outer_layer_finds_its_own_session_again_when_the_inner_is_cut_short() {
    let named = |key: &str| session(Options { key: key.to_owned(), ..Options::koa() }).unwrap();
    let app = App::new()
        .keys(keys())
        .with(named("outer"))
        .with(async |ctx: &mut Ctx, next: Next<'_>| -> Result {
            ctx.session()?.set("outer", &1)?;
            let in_time = tokio::time::timeout(Duration::from_secs(1), next.run(ctx)).await.is_ok();
            ctx.session()?.set("in_time", &in_time)
        })
        .with(named("inner"))
        .get("/", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.set("user", "of the inner")?;
            std::future::pending().await
        });
    let client = app.test();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(client.get("/").into_future());
    assert_eq!(client.cookie("inner"), None);
    let text = BASE64_STANDARD.decode(client.cookie("outer").unwrap()).unwrap();
    let values = Data::parse(&text).unwrap().values;
    assert_eq!(Value::Object(values), json!({"outer": 1, "in_time": false}));
}

#[test]
fn an_app_without_keys_does_not_start() {
    let open = || Options { protection: Some(Protection::None), ..Options::default() };
    for (layer, starts) in [
        (session(Options::default()).unwrap(), false),
        (session(Options::koa()).unwrap(), false),
        (session(Options::default()).unwrap().store(Memory::default()), false),
        (session(open()).unwrap(), true),
        (session(open()).unwrap().store(Memory::default()), true),
    ] {
        let built = App::new().with(layer.except("/static")).build();
        let text = built.as_ref().map_or_else(ToString::to_string, |_| String::new());
        assert_eq!(built.is_ok(), starts, "{text}");
        assert!(starts || text.contains("session: the app has no keys") && text.contains(file!()), "{text}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refused: [fn(&mut Options); 7] = [
        |options| options.max_age = Duration::ZERO,
        |options| options.max_age = Duration::MAX,
        |options| options.domain = Some("example.com".into()),
        |options| options.path = "/app".into(),
        |options| options.secure = Some(false),
        |options| options.key = "a b".into(),
        |options| (options.host_prefix, options.domain) = (false, Some("-".into())),
    ];
    for (at, change) in refused.into_iter().enumerate() {
        let mut options = Options::default();
        change(&mut options);
        assert!(session(options).is_err(), "{at}");
    }
    let options: Options =
        toml::from_str("key = 'a'\nmax_age = '2h'\nprotection = 'signed'\nsame_site = 'strict'").unwrap();
    assert_eq!(options.max_age, Duration::from_secs(7200));
    assert!(toml::from_str::<Options>("maxage = '2h'").is_err());
}
