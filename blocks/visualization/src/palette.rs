//! Which colour a detection has.

use sightflow_block::{Color, Detection};

const PALETTE: [u32; 16] = [
    0xff3b30, 0x34c759, 0x0a84ff, 0xff9f0a, 0xbf5af2, 0x00c7be, 0xffd60a, 0xff2d92, 0x8e5a2b, 0x64d2ff, 0xa2e01f,
    0x5e5ce6, 0xff7a5c, 0x1e8e5a, 0xc9a0ff, 0x7a8794,
];

/// The colour at a place of the palette, which repeats.
pub(crate) fn by_index(index: usize) -> Color {
    Color::from_hex(PALETTE[index % PALETTE.len()])
}

/// The colour of a class: by its id, or where it has none by its name.
pub(crate) fn by_class(detection: &Detection) -> Color {
    match usize::try_from(detection.class_id) {
        Ok(id) => by_index(id),
        Err(_) => by_index(fnv1a_32(&detection.class_name) as usize),
    }
}

/// Red at 0, yellow at ½, green at 1.
pub(crate) fn by_confidence(confidence: f64) -> Color {
    let confidence = confidence.clamp(0.0, 1.0);
    let channel = |share: f64| (255.0 * share.min(1.0)).round() as u8;
    Color { r: channel(2.0 * (1.0 - confidence)), g: channel(2.0 * confidence), b: 0 }
}

fn fnv1a_32(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_an_id() {
        for (name, place) in [("person", 0), ("bottle", 9), ("price_tag", 5)] {
            assert_eq!(fnv1a_32(name) % 16, place, "{name}");
        }
    }

    #[test]
    fn confidence_runs_from_red_through_yellow_to_green() {
        for (confidence, expected) in
            [(0.0, 0xff0000), (0.25, 0xff8000), (0.5, 0xffff00), (0.75, 0x80ff00), (1.0, 0x00ff00), (7.0, 0x00ff00)]
        {
            assert_eq!(by_confidence(confidence), Color::from_hex(expected), "{confidence}");
        }
    }
}
