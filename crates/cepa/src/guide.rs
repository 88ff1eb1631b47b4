//! The pages of the guide as tests: every block of Rust in them compiles, and runs where it can.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/guide/src/getting-started.md")]
    struct GettingStarted;

    #[doc = include_str!("../../../docs/guide/src/handlers.md")]
    struct Handlers;

    #[doc = include_str!("../../../docs/guide/src/layers.md")]
    struct Layers;

    #[doc = include_str!("../../../docs/guide/src/guards.md")]
    struct Guards;

    #[doc = include_str!("../../../docs/guide/src/routing.md")]
    struct Routing;

    #[doc = include_str!("../../../docs/guide/src/request.md")]
    struct Request;

    #[doc = include_str!("../../../docs/guide/src/bodies.md")]
    struct Bodies;

    #[doc = include_str!("../../../docs/guide/src/response.md")]
    struct Response;

    #[doc = include_str!("../../../docs/guide/src/state.md")]
    struct State;

    #[doc = include_str!("../../../docs/guide/src/lifecycle.md")]
    struct Lifecycle;

    #[doc = include_str!("../../../docs/guide/src/schedules.md")]
    struct Schedules;

    #[doc = include_str!("../../../docs/guide/src/jobs.md")]
    struct Jobs;

    #[doc = include_str!("../../../docs/guide/src/calls.md")]
    struct Calls;

    #[doc = include_str!("../../../docs/guide/src/live.md")]
    struct Live;

    #[doc = include_str!("../../../docs/guide/src/sessions.md")]
    struct Sessions;
    #[doc = include_str!("../../../docs/guide/src/pages.md")]
    struct Pages;

    #[doc = include_str!("../../../docs/guide/src/reach.md")]
    struct Reach;

    #[doc = include_str!("../../../docs/guide/src/testing.md")]
    struct Testing;

    #[doc = include_str!("../../../docs/guide/src/tower.md")]
    struct Tower;

    #[doc = include_str!("../../../docs/guide/src/configuration.md")]
    struct Configuration;

    #[doc = include_str!("../../../docs/guide/src/running.md")]
    struct Running;

    #[doc = include_str!("../../../docs/guide/src/limits.md")]
    struct Limits;

    #[doc = include_str!("../../../docs/guide/src/logging.md")]
    struct Logging;
    #[doc = include_str!("../../../docs/guide/src/delivery.md")]
    struct Delivery;

    #[doc = include_str!("../../../docs/guide/src/koa.md")]
    struct Koa;

    #[doc = include_str!("../../../docs/guide/src/egg.md")]
    struct Egg;

    #[doc = include_str!("../../../docs/guide/src/websocket.md")]
    struct WebSocket;
}

#[cfg(test)]
mod tests {
    use cepa_server::limits::Limits;
    use toml::{Table, Value};

    #[test]
    fn the_page_of_the_limits_has_all_of_them_and_their_defaults() {
        let page = include_str!("../../../docs/guide/src/limits.md");
        let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let written = block.parse::<Table>().unwrap()["server"]["limits"].clone();
        let defaults = Value::try_from(Limits::default()).unwrap();
        assert_eq!(keys(&written), keys(&defaults));
        assert_eq!(written.try_into::<Limits>().unwrap(), Limits::default());
    }

    #[test]
    fn the_tables_of_the_page_about_logs_are_a_configuration() {
        let page = include_str!("../../../docs/guide/src/logging.md");
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let blocks: Vec<_> = blocks.collect();
        // The last adds a layout to an appender of the one before.
        let simple: Table = blocks[0].parse().unwrap();
        let whole: Table = blocks[1..].concat().parse().unwrap();
        for log in [&simple["log"], &whole["log"]] {
            log.clone().try_into::<cepa_log::LogConfig>().unwrap().check().unwrap();
        }
    }

    /// The paths of all values.
    fn keys(value: &Value) -> Vec<String> {
        let Some(table) = value.as_table() else { return vec![String::new()] };
        let below = |(name, value)| keys(value).into_iter().map(move |key| format!("{name}.{key}"));
        let mut all: Vec<_> = table.iter().flat_map(below).collect();
        all.sort();
        all
    }
}
