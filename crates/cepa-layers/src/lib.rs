//! The layers that most apps want, one module each, named after what it does.
//!
//! A layer is made by the function that has its module's name, from the module's `Options`, and added with
//! [`App::with`](cepa_core::App::with). Options have safe defaults and can be read from the configuration:
//!
//! ```
//! use cepa_core::{App, Ctx};
//! use cepa_layers::{When, response_time};
//!
//! let app = App::new()
//!     .with(response_time(Default::default()).except("/health"))
//!     .get("/", async |_: &mut Ctx| "Hello, onion");
//! # cepa_core::test::block_on(async {
//! assert!(app.test().get("/").await.header("x-response-time").ends_with("ms"));
//! # });
//! ```
//!
//! [`When`] says for which requests a layer runs.
//!
//! **Features.** A layer that needs crates which few other parts of Cepa need is behind a feature; all others are always
//! there. `full` is all of them.
//!
//! | feature | gives | by default |
//! | --- | --- | --- |
//! | `basic_auth` | `basic_auth` | |
//! | `compress` | `compress`, with gzip and deflate | yes |
//! | `inflate` | `inflate`, with gzip and deflate | yes |
//! | `brotli`, `zstd` | these codings in both; `zstd` needs a C compiler | |
//! | `cgi` | `cgi` | |
//! | `client` | `fetch`, `proxy`, `forward_proxy` | |
//! | `egg` | `egg`, and sessions that Egg has encrypted | |
//! | `fastcgi` | `fastcgi_pass`, `scgi_pass` | |
//! | `files` | `static_files`, `directory`, `sendfile_header` | yes |
//! | `i18n` | `i18n`, with `t` in the templates of `views` | |
//! | `multipart` | `multipart` | yes |
//! | `redb`, `redis` | `session::Redb`, `session::Redis` | |
//! | `validate` | `validate` | |
//! | `views` | `views` | |
//!
//! The TLS of `client` has the cryptography of `aws-lc-rs`, which is on by default, or of `ring`.

// Says of each item which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
pub mod auth;
#[cfg(feature = "basic_auth")]
pub mod basic_auth;
pub mod body_limits;
pub mod cascade;
#[cfg(feature = "cgi")]
pub mod cgi;
#[cfg(feature = "compress")]
pub mod compress;
pub mod concurrency_limit;
pub mod conditional;
pub mod cors;
pub mod csrf;
pub mod digest_auth;
#[cfg(feature = "files")]
pub mod directory;
#[cfg(feature = "egg")]
pub mod egg;
mod erased;
pub mod etag;
#[cfg(feature = "fastcgi")]
pub mod fastcgi_pass;
pub mod favicon;
#[cfg(feature = "client")]
pub mod fetch;
#[cfg(feature = "files")]
mod files;
#[cfg(feature = "client")]
pub mod forward_proxy;
#[cfg(any(feature = "cgi", feature = "fastcgi"))]
mod gateway;
pub mod hosts;
#[cfg(feature = "i18n")]
pub mod i18n;
#[cfg(feature = "inflate")]
pub mod inflate;
pub mod ip_filter;
pub mod jsonp;
pub mod logger;
pub mod method_override;
pub mod mount_table;
#[cfg(feature = "multipart")]
pub mod multipart;
pub mod not_found;
pub mod on_error;
#[cfg(feature = "client")]
mod outbound;
pub mod problem;
#[cfg(feature = "client")]
pub mod proxy;
pub mod rate_limit;
pub mod redirect_allow_list;
pub mod request_id;
pub mod response_time;
pub mod safe;
#[cfg(feature = "fastcgi")]
pub mod scgi_pass;
pub mod secure_headers;
#[cfg(feature = "files")]
pub mod sendfile_header;
pub mod session;
#[cfg(feature = "files")]
pub mod static_files;
pub mod timeout;
#[cfg(feature = "validate")]
pub mod validate;
#[cfg(feature = "views")]
pub mod views;
pub mod when;

#[cfg(feature = "basic_auth")]
pub use basic_auth::basic_auth;
pub use body_limits::body_limits;
pub use cascade::cascade;
#[cfg(feature = "cgi")]
pub use cgi::cgi;
#[cfg(feature = "compress")]
pub use compress::compress;
pub use concurrency_limit::concurrency_limit;
pub use conditional::conditional;
pub use cors::cors;
pub use csrf::{CsrfExt, csrf};
pub use digest_auth::digest_auth;
#[cfg(feature = "files")]
pub use directory::directory;
pub use etag::etag;
#[cfg(feature = "fastcgi")]
pub use fastcgi_pass::fastcgi_pass;
pub use favicon::favicon;
#[cfg(feature = "client")]
pub use forward_proxy::forward_proxy;
#[cfg(feature = "i18n")]
pub use i18n::{I18nExt, i18n};
#[cfg(feature = "inflate")]
pub use inflate::inflate;
pub use ip_filter::ip_filter;
pub use jsonp::jsonp;
pub use logger::logger;
pub use method_override::method_override;
pub use mount_table::mount_table;
#[cfg(feature = "multipart")]
pub use multipart::{MultipartExt, multipart};
pub use not_found::not_found;
pub use on_error::on_error;
pub use problem::Problem;
#[cfg(feature = "client")]
pub use proxy::proxy;
pub use rate_limit::rate_limit;
pub use redirect_allow_list::redirect_allow_list;
pub use request_id::{RequestId, request_id};
pub use response_time::response_time;
#[cfg(feature = "fastcgi")]
pub use scgi_pass::scgi_pass;
pub use secure_headers::{NonceExt, secure_headers};
#[cfg(feature = "files")]
pub use sendfile_header::sendfile_header;
pub use session::{SessionExt, session};
#[cfg(feature = "files")]
pub use static_files::static_files;
pub use timeout::timeout;
#[cfg(feature = "validate")]
pub use validate::{ValidateExt, validate};
#[cfg(feature = "views")]
pub use views::{ViewsExt, views};
pub use when::When;
