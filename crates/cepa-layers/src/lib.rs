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

pub mod compress;
pub mod conditional;
pub mod cors;
pub mod csrf;
pub mod directory;
pub mod etag;
pub mod favicon;
mod files;
pub mod jsonp;
pub mod method_override;
pub mod response_time;
pub mod secure_headers;
pub mod sendfile_header;
pub mod session;
pub mod static_files;
pub mod when;

pub use compress::compress;
pub use conditional::conditional;
pub use cors::cors;
pub use csrf::{CsrfExt, csrf};
pub use directory::directory;
pub use etag::etag;
pub use favicon::favicon;
pub use jsonp::jsonp;
pub use method_override::method_override;
pub use response_time::response_time;
pub use secure_headers::{NonceExt, secure_headers};
pub use sendfile_header::sendfile_header;
pub use session::{SessionExt, session};
pub use static_files::static_files;
pub use when::When;
