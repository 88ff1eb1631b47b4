//! Reads the recorded input/output pairs under `tests/data/koa/vectors` for the table tests.

use serde::de::DeserializeOwned;

/// The `vectors` list of the file `name.json`.
pub(crate) fn load<T: DeserializeOwned>(name: &str) -> Vec<T> {
    #[derive(serde::Deserialize)]
    struct File<T> {
        vectors: Vec<T>,
    }

    let path = format!("{}/../../tests/data/koa/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file: File<T> = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!file.vectors.is_empty(), "{path} holds no vectors");
    file.vectors
}
