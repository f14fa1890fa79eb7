//! What a definition means, in one number.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sightflow_types::Digest;

/// Hash of what a definition means: without its layout (`viewport`, node positions), keys sorted.
///
/// Every stored definition has one: plans, versions and executions name their definition by it.
pub fn definition_digest(definition: &Value) -> Digest {
    let mut hash = Sha256::new();
    hash_value(&mut hash, definition, &["viewport"], true);
    Digest::from_bytes(hash.finalize().into())
}

fn hash_value(hash: &mut Sha256, value: &Value, skip: &[&str], top: bool) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().filter(|key| !skip.contains(&key.as_str())).collect();
            keys.sort_unstable();
            hash.update(b"{");
            for key in keys {
                hash.update(Value::from(key.as_str()).to_string());
                hash.update(b":");
                match &map[key.as_str()] {
                    // The nodes of the document itself: their position is layout.
                    Value::Array(nodes) if top && key == "nodes" => {
                        hash.update(b"[");
                        for node in nodes {
                            hash_value(hash, node, &["position"], false);
                            hash.update(b",");
                        }
                        hash.update(b"]");
                    }
                    inner => hash_value(hash, inner, &[], false),
                }
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                hash_value(hash, item, &[], false);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        scalar => hash.update(scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::definition_digest;

    #[test]
    fn only_layout_is_left_out_of_the_digest() {
        let base = json!({"nodes": [{"id": "a", "position": {"x": 1}, "config": {"position": 1, "viewport": 2}}], "viewport": {"zoom": 1}, "edges": []});
        let same = json!({"edges": [], "nodes": [{"config": {"viewport": 2, "position": 1}, "id": "a", "position": {"x": 9}}]});
        assert_eq!(definition_digest(&base), definition_digest(&same));
        for other in [
            json!({"nodes": [{"id": "a", "config": {"position": 2, "viewport": 2}}], "edges": []}),
            json!({"nodes": [{"id": "a", "config": {"position": 1}}], "edges": []}),
            json!({"nodes": [{"id": "b", "config": {"position": 1, "viewport": 2}}], "edges": []}),
        ] {
            assert_ne!(definition_digest(&base), definition_digest(&other), "{other}");
        }
    }
}
