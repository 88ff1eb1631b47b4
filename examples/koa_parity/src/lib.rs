//! What a Koa application does, done with Cepa: the app behind the cases recorded from Koa in `tests/data/koa`.
//!
//! `tests/data/koa/README.md` says what each path answers; `docs/decisions/koa-differences.md` where Cepa differs
//! on purpose. As there, several apps share one port, each below a prefix that stays in the path:
//!
//! - `root`: everything without a prefix: requests, responses, errors, flow, cookies;
//! - `proxied`: `/px` and `/pq`, behind proxies that are believed;
//! - `routed`: `/rt` and `/rth`, what `@koa/router` does;
//! - `compressed`: `/z`, what `koa-compress` does;
//! - `files`: `/st`, what `koa-static` does;
//! - `sessions`: `/sess`, `/sroll`, `/srenew` and `/sext`, what `koa-session` does;
//! - `tokens`: `/csrf`, what `koa-csrf` does.

mod compressed;
mod describe;
mod files;
mod proxied;
mod root;
mod routed;
mod sessions;
mod tokens;

use cepa_core::{App, cookie::Keys, router::Mount};

pub use files::date_static_files;

/// The whole app.
pub fn app() -> App {
    App::new()
        .mount("/", Mount::new(root::app()).keep_path())
        .mount("/px", Mount::new(proxied::px()).keep_path())
        .mount("/pq", Mount::new(proxied::pq()).keep_path())
        .mount("/rt", Mount::new(routed::rt()).keep_path())
        .mount("/rth", Mount::new(routed::rth()).keep_path())
        .mount("/sess", Mount::new(sessions::sess()).keep_path())
        .mount("/sroll", Mount::new(sessions::sroll()).keep_path())
        .mount("/srenew", Mount::new(sessions::srenew()).keep_path())
        .mount("/sext", Mount::new(sessions::sext()).keep_path())
        .mount("/csrf", Mount::new(tokens::csrf()).keep_path())
        .mount("/st", Mount::new(files::st()).keep_path())
        .mount("/z", Mount::new(compressed::z()).keep_path())
    // Here the apps follow that need layers: /b, /bl.
}

/// The keys that the recorded signatures were made with: the first signs, both verify.
fn keys() -> Keys {
    Keys::new(["k1-new-secret", "k0-old-secret"]).expect("no key is empty")
}
