//! Apps in Rust below the hosts of a configuration.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa::{
    Boot,
    core::{App, Ctx, Result, test::Call},
};
use cepa_site::Site;

/// What the process provides.
struct Till(u32);

fn shop() -> App {
    App::new()
        .get("/", async |ctx: &mut Ctx| -> Result<String> {
            let till = ctx.provided::<Till>()?.0;
            Ok(format!("shop {} {till} {}", ctx.mount_path(), ctx.protocol()))
        })
        .get("/price", async |_: &mut Ctx| "7")
}

fn news() -> App {
    App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
        let price = ctx.call("shop.test", "/goods/price", &[]).await?.text().await?;
        let hosts: Vec<_> = ctx.hosts().iter().map(|host| host.name().to_owned()).collect();
        Ok(format!("it costs {price} at {}", hosts.join(" ")))
    })
}

fn with(hosts: &str) -> Boot {
    Boot::load_with("test", &["site.trust=['loopback']", &format!("hosts={hosts}")]).unwrap()
}

async fn text(call: Call<'_>) -> (u16, String) {
    let answer = call.await;
    (answer.status().as_u16(), answer.text().to_owned())
}

#[tokio::test(flavor = "local")]
async fn apps_are_mounted_by_their_names_and_know_each_other() {
    let boot = with(
        "[{ names = ['shop.test'], mounts = [{ path = '/goods', app = 'shop' }] },
          { names = ['*.news.test'], mounts = [{ app = 'news' }] }]",
    );
    let started = boot
        .start(|boot| {
            boot.did_load(async |boot: &mut Boot| {
                boot.provide(Till(3));
                Ok(())
            });
            Site::new().app("shop", shop()).app("news", news()).build(boot)
        })
        .await
        .unwrap();
    let client = started.client();
    let get = |host: &str, path: &str| client.get(path).header("host", host);
    let secure = get("shop.test", "/goods/").header("x-forwarded-proto", "https");
    assert_eq!(text(secure).await, (200, "shop /goods 3 https".to_owned()));
    assert_eq!(text(get("shop.test", "/price")).await.0, 404);
    let told = "it costs 7 at shop.test *.news.test".to_owned();
    assert_eq!(text(get("a.news.test", "/")).await, (200, told));
    // What a trusted front server says of the host counts.
    let forwarded = get("front.test", "/goods/price").header("x-forwarded-host", "shop.test");
    assert_eq!(text(forwarded).await, (200, "7".to_owned()));
    started.close().await;
}

#[tokio::test(flavor = "local")]
async fn an_app_is_mounted_once_and_has_a_name() {
    for (hosts, fault) in [
        (
            "[{ names = ['a'], mounts = [{ app = 'shop' }, { path = '/b', app = 'shop' }] }]",
            "`hosts[0].mounts[1].app`: \"shop\" is mounted elsewhere already",
        ),
        (
            "[{ mounts = [{ app = 'shpo' }] }]",
            "`hosts[0].mounts[0].app`: there is no app \"shpo\"; there are \"shop\"",
        ),
    ] {
        let started = with(hosts).start(|boot| Site::new().app("shop", shop()).build(boot)).await;
        let error = started.map(drop).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}
