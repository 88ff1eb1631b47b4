//! Asks every layer whether it can work with the settings of the app that it was added to.

use super::Onion;
use crate::router::{Fault, Layer};

/// Adds a fault for each layer that cannot.
pub(super) fn check(onion: &Onion, faults: &mut Vec<Fault>) {
    for layer in &onion.places {
        check_layer(layer, onion, faults);
    }
    for route in &onion.table.routes {
        for layer in &route.layers {
            check_layer(layer, onion, faults);
        }
        if let Some(mounted) = route.mounted.as_ref().and_then(|mounted| mounted.onion()) {
            check(mounted, faults);
        }
    }
}

fn check_layer(Layer { layer, place }: &Layer, onion: &Onion, faults: &mut Vec<Fault>) {
    let Err(error) = layer.check(&onion.settings) else { return };
    let name = layer.name();
    // Many routes lie inside of one layer, and a mounted app is found at several paths.
    let is_this = |known: &Fault| matches!(known, Fault::Layer { layer, place: at, .. } if *layer == name && at == place);
    if !faults.iter().any(is_this) {
        faults.push(Fault::Layer { layer: name, error, place });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        App, Ctx, LocalBoxFuture, Middleware, Next, Result, Settings, StartError,
        cookie::Keys,
        router::{Router, get},
    };

    /// A layer that signs cookies.
    struct Signs;

    impl Middleware for Signs {
        fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
            next.run(ctx).boxed()
        }

        fn check(&self, settings: &Settings) -> Result<(), StartError> {
            settings.keys.as_ref().map(drop).ok_or_else(|| "there are no keys".into())
        }
    }

    async fn handler(_: &mut Ctx) {}

    fn with_keys(app: App) -> App {
        app.keys(Keys::new(["k"]).expect("there is one"))
    }

    #[test]
    fn a_layer_sees_the_settings_of_its_app_and_of_those_around() {
        let inner = || App::new().with(Signs).get("/", handler);
        let routes = || Router::new().with(Signs).get("/a", handler).get("/b", handler);
        let route = || get(handler).post(handler).with(Signs);
        for (app, faults) in [
            (inner(), 1),
            (with_keys(inner()), 0),
            (App::new().mount("/m", inner()), 1),
            (with_keys(App::new().mount("/m", inner())), 0),
            (App::new().mount("/m", with_keys(inner())), 0),
            (App::new().with(Signs).mount("/m", with_keys(inner())), 1),
            (App::new().nest("/n", routes()), 1),
            (App::new().route("/r", route()), 1),
            (with_keys(App::new().nest("/n", routes()).route("/r", route())), 0),
        ] {
            let text = app.build().map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(text.matches("there are no keys").count(), faults, "{text}");
            assert_eq!(text.matches(file!()).count(), faults, "{text}");
        }
    }
}
