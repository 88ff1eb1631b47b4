//! What the tests share: the vectors recorded from log4js.

use serde_json::Value;

/// The vectors of a file.
pub(crate) fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/data/koa/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(vectors) = file["vectors"].take() else { panic!("{name} has no vectors") };
    assert_eq!(Some(vectors.len() as u64), file["count"].as_u64());
    vectors
}
