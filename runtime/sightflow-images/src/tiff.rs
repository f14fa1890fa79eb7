//! The first directory of a TIFF file, which is also what EXIF data is.

const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const ORIENTATION: u16 = 274;
const EXTRA_SAMPLES: u16 = 338;

/// EXIF orientation 1..=8 in a block of EXIF data, as a number of any width.
pub(crate) fn orientation(exif: &[u8]) -> Option<u8> {
    let value = Directory::first(exif)?.number(ORIENTATION)?;
    u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
}

/// Whether colours are multiplied by their alpha already (`ExtraSamples` 1).
pub(crate) fn is_premultiplied(file: &[u8]) -> bool {
    Directory::first(file).and_then(|directory| directory.number(EXTRA_SAMPLES)) == Some(1)
}

/// Whether the file begins as a TIFF with 64-bit offsets does.
pub(crate) fn is_big(file: &[u8]) -> bool {
    file.starts_with(b"II\x2b\0") || file.starts_with(b"MM\0\x2b")
}

/// Why no decoder takes this TIFF, where it is of a kind that none reads.
pub(crate) fn refusal(file: &[u8]) -> Option<String> {
    let directory = Directory::first(file)?;
    let save = "save it as uncompressed, LZW or Deflate RGB, or as PNG";
    let compression = match directory.number(COMPRESSION) {
        Some(2..=4) => Some("fax (CCITT)"),
        Some(6 | 7) => Some("JPEG"),
        Some(34712) => Some("JPEG 2000"),
        Some(50000) => Some("Zstandard"),
        Some(50001) => Some("WebP"),
        _ => None,
    };
    let colors = match directory.number(PHOTOMETRIC) {
        Some(3) => Some("palette"),
        Some(6) => Some("YCbCr"),
        Some(8 | 9) => Some("CIELab"),
        Some(32803) => Some("raw sensor"),
        _ => None,
    };
    match (compression, colors) {
        (Some(kind), _) => Some(format!("tiff: {kind} compression inside TIFF is not supported; {save}")),
        (None, Some(kind)) => Some(format!("tiff: {kind} colours are not supported; {save}")),
        (None, None) => None,
    }
}

struct Directory<'a> {
    file: &'a [u8],
    big_endian: bool,
    /// Offsets of 8 bytes.
    big: bool,
    entries: &'a [u8],
}

impl<'a> Directory<'a> {
    fn first(file: &'a [u8]) -> Option<Self> {
        let big_endian = match file.get(..2)? {
            b"II" => false,
            b"MM" => true,
            _ => return None,
        };
        let mut this = Self { file, big_endian, big: is_big(file), entries: &[] };
        let (at, count_bytes, entry_bytes) =
            if this.big { (this.integer(8, 8)?, 8, 20) } else { (this.integer(4, 4)?, 2, 12) };
        let at = usize::try_from(at).ok()?;
        let count = usize::try_from(this.integer(at, count_bytes)?).ok()?;
        let start = at.checked_add(count_bytes)?;
        let most = file.len().checked_sub(start)? / entry_bytes;
        this.entries = &file[start..][..count.min(most) * entry_bytes];
        Some(this)
    }

    /// An unsigned number of `length` bytes.
    fn integer(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.file.get(at..at.checked_add(length)?)?;
        Some(self.fold(bytes))
    }

    fn fold(&self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// The first value of a tag, where it is a whole number.
    fn number(&self, tag: u16) -> Option<u64> {
        let entry_bytes = if self.big { 20 } else { 12 };
        let entry = self.entries.chunks_exact(entry_bytes).find(|entry| self.fold(&entry[..2]) == u64::from(tag))?;
        let width = match self.fold(&entry[2..4]) {
            1 => 1,
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let (count, value) = entry[4..].split_at(if self.big { 8 } else { 4 });
        let count = self.fold(count);
        match count {
            0 => None,
            _ if count.saturating_mul(width as u64) <= value.len() as u64 => Some(self.fold(&value[..width])),
            _ => self.integer(usize::try_from(self.fold(value)).ok()?, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::orientation;

    fn exif(order: &[u8; 2], kind: u16, value: u32) -> Vec<u8> {
        let short = |v: u16| if order == b"MM" { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if order == b"MM" { v.to_be_bytes() } else { v.to_le_bytes() };
        let value = if kind == 3 { [short(value as u16), [0; 2]].concat() } else { long(value).to_vec() };
        let parts: [&[u8]; 8] = [order, &short(42), &long(8), &short(1), &short(274), &short(kind), &long(1), &value];
        parts.concat()
    }

    #[test]
    fn orientations() {
        for order in [b"II", b"MM"] {
            for (kind, value, expected) in
                [(3, 6, Some(6)), (4, 6, Some(6)), (4, 8, Some(8)), (3, 9, None), (4, 0, None), (2, 6, None)]
            {
                assert_eq!(orientation(&exif(order, kind, value)), expected, "{order:?} {kind} {value}");
            }
            let whole = exif(order, 4, 6);
            for length in 0..whole.len() {
                assert_eq!(orientation(&whole[..length]), None, "cut off after {length} bytes");
            }
        }
    }
}
