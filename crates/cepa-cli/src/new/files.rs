//! The files of a new app, as they lie in the folder `scaffold`: an app called `my-app`.
//!
//! Two have other names there: `manifest.toml`, which cargo would take for a package of its own, and `gitignore`, which
//! git would heed.

/// The path of each file in the new folder, and its text.
pub(super) const FILES: [(&str, &str); 23] = [
    ("README.md", include_str!("../../scaffold/README.md")),
    (".gitignore", include_str!("../../scaffold/gitignore")),
    ("Cargo.toml", include_str!("../../scaffold/manifest.toml")),
    ("config/default.toml", include_str!("../../scaffold/config/default.toml")),
    ("config/development.toml", include_str!("../../scaffold/config/development.toml")),
    ("config/production.toml", include_str!("../../scaffold/config/production.toml")),
    ("config/test.toml", include_str!("../../scaffold/config/test.toml")),
    ("public/style.css", include_str!("../../scaffold/public/style.css")),
    ("src/app.rs", include_str!("../../scaffold/src/app.rs")),
    ("src/controller.rs", include_str!("../../scaffold/src/controller.rs")),
    ("src/controller/greeting.rs", include_str!("../../scaffold/src/controller/greeting.rs")),
    ("src/controller/home.rs", include_str!("../../scaffold/src/controller/home.rs")),
    ("src/lib.rs", include_str!("../../scaffold/src/lib.rs")),
    ("src/main.rs", include_str!("../../scaffold/src/main.rs")),
    ("src/middleware.rs", include_str!("../../scaffold/src/middleware.rs")),
    ("src/middleware/powered_by.rs", include_str!("../../scaffold/src/middleware/powered_by.rs")),
    ("src/schedule.rs", include_str!("../../scaffold/src/schedule.rs")),
    ("src/schedule/good_morning.rs", include_str!("../../scaffold/src/schedule/good_morning.rs")),
    ("src/service.rs", include_str!("../../scaffold/src/service.rs")),
    ("src/service/greeting.rs", include_str!("../../scaffold/src/service/greeting.rs")),
    ("tests/app.rs", include_str!("../../scaffold/tests/app.rs")),
    ("view/home.html", include_str!("../../scaffold/view/home.html")),
    ("view/layout.html", include_str!("../../scaffold/view/layout.html")),
];
