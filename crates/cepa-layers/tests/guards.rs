//! The options of logs, errors and guards, as a configuration has them.

use std::time::Duration;

use cepa_layers::{
    basic_auth, concurrency_limit, digest_auth, ip_filter, logger, not_found, on_error, rate_limit,
    request_id, timeout,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(options: Value) -> Result<T, String> {
    serde_json::from_value(options).map_err(|error| error.to_string())
}

#[test]
fn every_option_has_a_default_and_no_other_is_taken() {
    fn check<T: DeserializeOwned>(layer: &str) {
        assert!(read::<T>(json!({})).is_ok(), "{layer}");
        let error = read::<T>(json!({ "unheard": 1 })).err().unwrap();
        assert!(error.contains("unknown field `unheard`"), "{layer}: {error}");
    }
    check::<basic_auth::Options>("basic_auth");
    check::<concurrency_limit::Options>("concurrency_limit");
    check::<digest_auth::Options>("digest_auth");
    check::<ip_filter::Options>("ip_filter");
    check::<logger::Options>("logger");
    check::<not_found::Options>("not_found");
    check::<on_error::Options>("on_error");
    check::<rate_limit::Options>("rate_limit");
    check::<request_id::Options>("request_id");
    check::<timeout::Options>("timeout");
}

#[test]
fn options_are_written_as_people_write_them() {
    let limit: rate_limit::Options = read(json!({ "limit": 5, "per": "10s", "burst": 2 })).unwrap();
    assert_eq!((limit.per, limit.burst), (Duration::from_secs(10), Some(2)));
    let filter: ip_filter::Options = read(json!({ "allow": ["10.0.0.0/8", "loopback"] })).unwrap();
    assert!(filter.allow.is_some());
    let log: logger::Options = read(json!({ "format": ":method :url" })).unwrap();
    assert_eq!(log.format, ":method :url".parse().unwrap());
    let errors: on_error::Options = read(json!({ "prefer": "html" })).unwrap();
    assert_eq!((errors.prefer, errors.development), (on_error::Form::Html, false));
    let ids: request_id::Options = read(json!({ "inbound": "never", "form": "hex" })).unwrap();
    assert_eq!((ids.inbound, ids.form), (request_id::Inbound::Never, request_id::Form::Hex));

    let error = read::<logger::Options>(json!({ "format": ":verb" })).unwrap_err();
    assert!(error.contains("there is no token \":verb\""), "{error}");
    let error = read::<ip_filter::Options>(json!({ "deny": ["10.0.0.1/8"] })).unwrap_err();
    assert!(error.contains("10.0.0.1/8"), "{error}");
    assert!(read::<timeout::Options>(json!({ "after": 30 })).is_err());
}
