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

mod admission;
pub mod auth;
pub mod basic_auth;
pub mod body_limits;
pub mod cascade;
pub mod compress;
pub mod concurrency_limit;
pub mod conditional;
pub mod cors;
pub mod csrf;
pub mod digest_auth;
pub mod directory;
#[cfg(feature = "egg")]
pub mod egg;
mod erased;
pub mod etag;
pub mod favicon;
#[cfg(feature = "client")]
pub mod fetch;
mod files;
pub mod hosts;
pub mod i18n;
pub mod inflate;
pub mod ip_filter;
pub mod jsonp;
pub mod logger;
pub mod method_override;
pub mod mount_table;
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
pub mod secure_headers;
pub mod sendfile_header;
pub mod session;
pub mod static_files;
pub mod timeout;
pub mod validate;
pub mod views;
pub mod when;

pub use basic_auth::basic_auth;
pub use body_limits::body_limits;
pub use cascade::cascade;
pub use compress::compress;
pub use concurrency_limit::concurrency_limit;
pub use conditional::conditional;
pub use cors::cors;
pub use csrf::{CsrfExt, csrf};
pub use digest_auth::digest_auth;
pub use directory::directory;
pub use etag::etag;
pub use favicon::favicon;
pub use i18n::{I18nExt, i18n};
pub use inflate::inflate;
pub use ip_filter::ip_filter;
pub use jsonp::jsonp;
pub use logger::logger;
pub use method_override::method_override;
pub use mount_table::mount_table;
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
pub use secure_headers::{NonceExt, secure_headers};
pub use sendfile_header::sendfile_header;
pub use session::{SessionExt, session};
pub use static_files::static_files;
pub use timeout::timeout;
pub use validate::{ValidateExt, validate};
pub use views::{ViewsExt, views};
pub use when::When;
