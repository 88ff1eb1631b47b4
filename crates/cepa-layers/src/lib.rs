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

pub mod body_limits;
pub mod cors;
pub mod csrf;
pub mod i18n;
pub mod inflate;
pub mod multipart;
pub mod response_time;
pub mod secure_headers;
pub mod session;
pub mod validate;
pub mod views;
pub mod when;

pub use body_limits::body_limits;
pub use cors::cors;
pub use csrf::{CsrfExt, csrf};
pub use i18n::{I18nExt, i18n};
pub use inflate::inflate;
pub use multipart::{MultipartExt, multipart};
pub use response_time::response_time;
pub use secure_headers::{NonceExt, secure_headers};
pub use session::{SessionExt, session};
pub use validate::{ValidateExt, validate};
pub use views::{ViewsExt, views};
pub use when::When;
