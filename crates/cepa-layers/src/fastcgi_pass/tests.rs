use super::*;

#[test]
fn options_that_cannot_be() {
    for (options, fault) in [
        (Options { upstream: "nowhere".to_owned(), ..Options::default() }, "nowhere"),
        (Options { root: Some("/none".into()), ..Options::default() }, "/none"),
        (Options { requests: 0, ..Options::default() }, "requests"),
        (Options { head: Duration::ZERO, ..Options::default() }, "head"),
        (Options { front_controller: Some("index.php".to_owned()), ..Options::default() }, "index.php"),
    ] {
        assert!(fastcgi_pass(options).unwrap_err().to_string().contains(fault), "{fault}");
    }
}
