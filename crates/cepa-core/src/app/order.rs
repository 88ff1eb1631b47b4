//! Checks the rules that layers state about their places, along every way through an app.

use super::Onion;
use crate::{
    Order,
    order::Relation,
    router::{Fault, Layer, OrderFault},
};

/// Adds a fault for each rule that is broken, once for each layer that states it.
pub(super) fn check(onion: &Onion, faults: &mut Vec<Fault>) {
    let mut found = Vec::new();
    walk(onion, &mut Vec::new(), &mut found);
    faults.extend(found.into_iter().map(Fault::Order));
}

/// Goes through an app inside of the layers in `way`, which it leaves as it was.
fn walk<'a>(onion: &'a Onion, way: &mut Vec<&'a Layer>, faults: &mut Vec<OrderFault>) {
    let outside = way.len();
    way.extend(&onion.places);
    // Requests that no route answers pass these too.
    check_way(way, faults);
    for route in &onion.table.routes {
        let inside = way.len();
        way.extend(&route.layers);
        match route.mounted.as_ref().and_then(|mounted| mounted.onion()) {
            Some(mounted) => walk(mounted, way, faults),
            None => check_way(way, faults),
        }
        way.truncate(inside);
    }
    way.truncate(outside);
}

fn check_way(way: &[&Layer], faults: &mut Vec<OrderFault>) {
    for (at, layer) in way.iter().enumerate() {
        let (outer, inner) = (&way[..at], &way[at + 1..]);
        for rule in layer.layer.order() {
            let find =
                |layers: &[&'_ Layer]| layers.iter().position(|other| other.layer.kind() == rule.other);
            let other = match rule.relation {
                Relation::Needs if find(outer).is_some() => continue,
                Relation::Needs | Relation::Inside => find(inner).map(|other| inner[other]),
                Relation::Outside => find(outer).map(|other| outer[other]),
            };
            if other.is_some() || rule.relation == Relation::Needs {
                push(fault(layer, &rule, other), faults);
            }
        }
    }
}

fn fault(layer: &Layer, rule: &Order, other: Option<&Layer>) -> OrderFault {
    OrderFault {
        layer: layer.layer.name(),
        place: layer.place,
        other: other.map_or(rule.other_name.into(), |other| other.layer.name()),
        other_place: other.map(|other| other.place),
        inside: rule.relation != Relation::Outside,
        why: rule.why,
    }
}

/// Many routes lie inside of one layer.
fn push(fault: OrderFault, faults: &mut Vec<OrderFault>) {
    let same = |known: &OrderFault| known.place == fault.place && known.why == fault.why;
    if !faults.iter().any(same) {
        faults.push(fault);
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        App, Ctx, LocalBoxFuture, Middleware, Next, Order, Result,
        router::{Router, get},
    };

    /// A layer of the type `Layer<N>` with rules.
    struct Layer<const N: usize>(Vec<Order>);

    impl<const N: usize> Middleware for Layer<N> {
        fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
            next.run(ctx).boxed()
        }

        fn order(&self) -> Vec<Order> {
            self.0.clone()
        }
    }

    fn plain<const N: usize>() -> Layer<N> {
        Layer(Vec::new())
    }

    async fn handler(_: &mut Ctx) {}

    fn faults(app: App) -> String {
        app.build().map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_is_needed_has_to_be_outside() {
        let needs = || Layer::<1>(vec![Order::needs::<Layer<0>>("the reason")]);
        let routes = || Router::new().with(needs()).get("/a", handler).get("/b", handler);
        for app in [
            App::new().with(plain::<0>()).with(needs()),
            App::new().with(plain::<0>()).nest("/n", routes()),
            App::new().with(plain::<0>()).mount("/m", App::new().with(needs())),
            App::new().nest("/n", Router::new().with(plain::<0>()).nest("/n", routes())),
        ] {
            assert_eq!(faults(app), "");
        }
        for app in [
            App::new().with(needs()),
            App::new().with(needs()).with(plain::<0>()),
            App::new().nest("/n", routes()),
            App::new().mount("/m", App::new().with(needs())),
            App::new().nest("/n", Router::new().with(plain::<0>())).nest("/o", routes()),
            App::new().with(needs()).route("/r", get(handler).with(plain::<0>())),
        ] {
            let faults = faults(app);
            assert_eq!(faults.matches("the reason").count(), 1, "{faults}");
        }
    }

    #[test]
    fn what_is_outside_or_inside_is_only_looked_at_where_it_is() {
        let inside = || Layer::<1>(vec![Order::inside_of::<Layer<0>>("in")]);
        let outside = || Layer::<1>(vec![Order::outside_of::<Layer<0>>("out")]);
        for (app, wrong) in [
            (App::new().with(inside()), ""),
            (App::new().with(outside()), ""),
            (App::new().with(plain::<0>()).with(inside()), ""),
            (App::new().with(outside()).with(plain::<0>()), ""),
            (App::new().with(inside()).with(plain::<0>()), "in"),
            (App::new().with(plain::<0>()).with(outside()), "out"),
            (App::new().with(inside()).mount("/m", App::new().with(plain::<0>())), "in"),
            (
                App::new().with(plain::<0>()).nest("/n", Router::new().with(outside()).get("/", handler)),
                "out",
            ),
        ] {
            let faults = faults(app);
            assert_eq!(faults.is_empty(), wrong.is_empty(), "{faults}");
            assert!(faults.contains(wrong), "{faults}");
        }
    }

    #[test]
    fn a_fault_names_both_layers_their_places_and_the_reason() {
        let app = App::new()
            .with(Layer::<1>(vec![Order::needs::<Layer<0>>("it is looked up there")]))
            .with(plain::<0>());
        let faults = faults(app);
        assert_eq!(faults.matches(file!()).count(), 2, "{faults}");
        assert!(faults.contains("has to be further in than"), "{faults}");
        assert!(faults.contains("for it is looked up there"), "{faults}");
    }
}
