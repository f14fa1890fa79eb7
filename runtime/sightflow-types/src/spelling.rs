//! How names are compared, and how keys are written in pointers.

/// The form in which type names and enum names are compared: case does not matter, and `-` reads as `_`.
pub fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// A key as a step of an RFC 6901 JSON pointer.
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::{fold, pointer_token};

    #[test]
    fn spellings() {
        for (given, folded) in [("Draw-Boxes", "draw_boxes"), ("4:3", "4:3"), ("ÉTÉ", "été")] {
            assert_eq!(fold(given), folded);
        }
        for (key, token) in [("a/b", "a~1b"), ("~", "~0"), ("~1", "~01"), ("plain", "plain")] {
            assert_eq!(pointer_token(key), token);
        }
    }
}
