//! The markers of a JPEG file, without unpacking it.

/// How often a decoder must come back to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layers {
    /// Blocks are complete one after another.
    One,
    /// Several scans: a decoder keeps all coefficients until the last.
    Many,
}

/// How the picture is built, if the file has its end marker. What follows that marker (phones put a film there) is not
/// looked at. A file without the marker is cut off; decoders would fill the rest with grey.
pub(crate) fn layers(bytes: &[u8]) -> Option<Layers> {
    let mut at = 2;
    let mut scans = 0;
    let mut layers = Layers::One;
    loop {
        // To the next marker: past the entropy-coded data of a scan, stuffed zeros and restart markers included.
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        let marker = *bytes.get(at + 1)?;
        match marker {
            // A fill byte.
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => return Some(layers),
            _ => {
                scans += usize::from(marker == 0xda);
                if marker == 0xc2 || scans > 1 {
                    layers = Layers::Many;
                }
                let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
                at += 2 + usize::from(length.max(2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Layers, layers};

    #[test]
    fn markers() {
        const SOI: &[u8] = &[0xff, 0xd8];
        const EOI: &[u8] = &[0xff, 0xd9];
        const SCAN: &[u8] = &[0xff, 0xda, 0, 3, 1, 9, 0xff, 0, 0xff, 0xd1, 7];
        const BASELINE: &[u8] = &[0xff, 0xc0, 0, 2];
        const PROGRESSIVE: &[u8] = &[0xff, 0xff, 0xc2, 0, 2];
        // A thumbnail with an end marker of its own.
        const EXIF: &[u8] = &[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let cases: [(&[&[u8]], Option<Layers>); 9] = [
            (&[SOI, BASELINE, SCAN, EOI], Some(Layers::One)),
            (&[SOI, EXIF, BASELINE, SCAN, EOI], Some(Layers::One)),
            (&[SOI, BASELINE, SCAN, EOI, &[1, 0xff, 0xda, 5]], Some(Layers::One)),
            (&[SOI, PROGRESSIVE, SCAN, SCAN, EOI], Some(Layers::Many)),
            (&[SOI, BASELINE, SCAN, SCAN, EOI], Some(Layers::Many)),
            (&[SOI, EXIF, BASELINE, SCAN], None),
            (&[SOI, BASELINE, &[0xff]], None),
            (&[SOI, &[0xff, 0xe1, 0xff]], None),
            (&[], None),
        ];
        for (parts, expected) in cases {
            assert_eq!(layers(&parts.concat()), expected, "{parts:x?}");
        }
    }
}
