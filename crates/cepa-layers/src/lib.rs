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

pub mod cascade;
mod erased;
#[cfg(feature = "client")]
pub mod fetch;
mod hosts;
pub mod mount_table;
#[cfg(feature = "client")]
mod outbound;
#[cfg(feature = "client")]
pub mod proxy;
pub mod redirect_allow_list;
pub mod response_time;
pub mod when;

pub use cascade::cascade;
pub use mount_table::mount_table;
#[cfg(feature = "client")]
pub use proxy::proxy;
pub use redirect_allow_list::redirect_allow_list;
pub use response_time::response_time;
pub use when::When;
