//! Images by reference: a digest and, for a crop, a rectangle. Never pixels.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The key that marks an image inside a JSON value: `{"$image": …}`.
pub const IMAGE_KEY: &str = "$image";

/// The key of the object that stands for bytes: an index beside a component's document, anywhere else base64.
pub const BYTES_KEY: &str = "$bytes";

/// A rectangle in pixels of the upright source image: columns `x..x+width`, rows `y..y+height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

/// What stands behind `{"$image": …}` once an image is stored: a blob and an optional view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageRef {
    /// The encoded bytes, exactly as they were received or first written.
    pub digest: Digest,
    /// Columns of the upright image, after `view`; 0 where nobody has looked yet: a client need not know.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub width: u32,
    /// Rows of the upright image, after `view`; 0 as in `width`.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub height: u32,
    /// Encoding of the blob, lower case: `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// A crop of the upright image; none: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Rect>,
    /// True where the EXIF orientation of the blob must *not* be applied (`apply_exif_rotation: false`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_orientation: bool,
    /// Where the API serves the bytes; only in answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl ImageRef {
    /// All of a stored image, of which nothing else is known.
    pub fn whole(digest: Digest) -> Self {
        Self { digest, width: 0, height: 0, format: None, view: None, ignore_orientation: false, url: None }
    }
}

fn is_unknown(length: &u32) -> bool {
    *length == 0
}
