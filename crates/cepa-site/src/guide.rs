//! The page of the guide about sites as a test: its Rust compiles, and its tables are a configuration.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/src/sites.md")]
struct Sites;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::HostConfig;

    #[derive(Deserialize)]
    struct Config {
        hosts: Vec<HostConfig>,
    }

    #[test]
    fn the_tables_of_the_page_are_hosts() {
        let page = include_str!("../../../docs/guide/src/sites.md");
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let hosts = blocks.map(|block| toml::from_str::<Config>(block).unwrap().hosts.len());
        assert_eq!(hosts.collect::<Vec<_>>(), [3, 2, 1, 1]);
    }
}
