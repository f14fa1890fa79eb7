//! The one embedded face, and its rasters.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

/// DejaVu Sans, cut down to Latin, Greek, Cyrillic and common signs; licence beside the file.
static FACE: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../assets/DejaVuSans-subset.ttf"))
        .expect("the embedded font is well formed")
});

/// Heights of text that are drawn; others are refused.
pub(crate) const HEIGHTS: std::ops::RangeInclusive<f32> = 1.0..=4096.0;

/// Rasters kept; beyond it the cache starts again.
const CACHE_BYTES: usize = 8 << 20;

/// Coverage of one glyph, relative to the pen at the top of the line.
#[derive(Debug)]
pub(crate) struct Glyph {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) width: usize,
    /// Rows of `width` coverages, 0..=255.
    pub(crate) coverage: Vec<u8>,
    pub(crate) advance: f32,
}

#[derive(Default)]
struct Rasters {
    glyphs: HashMap<(char, u32), Glyph>,
    bytes: usize,
}

static RASTERS: LazyLock<Mutex<Rasters>> = LazyLock::new(Mutex::default);

/// Columns and rows of the box that `text` fills when drawn with this height (clamped to 1..=4096 pixels).
pub fn text_size(text: &str, height: f32) -> (u32, u32) {
    let height = if height.is_nan() { *HEIGHTS.start() } else { height.clamp(*HEIGHTS.start(), *HEIGHTS.end()) };
    let face = FACE.as_scaled(PxScale::from(height));
    let width: f32 = text.chars().map(|c| face.h_advance(glyph_id(c))).sum();
    (width.ceil() as u32, height.ceil() as u32)
}

/// The glyphs of `text` in order, each rasterised once for each height; stops when `each` returns false.
pub(crate) fn glyphs(text: &str, height: f32, mut each: impl FnMut(&Glyph) -> bool) {
    let mut rasters = RASTERS.lock().unwrap_or_else(PoisonError::into_inner);
    for c in text.chars() {
        let key = (c, height.to_bits());
        if let Some(glyph) = rasters.glyphs.get(&key) {
            if !each(glyph) {
                return;
            }
            continue;
        }
        let glyph = rasterise(c, height);
        if rasters.bytes + glyph.coverage.len() > CACHE_BYTES {
            *rasters = Rasters::default();
        }
        let more = each(&glyph);
        rasters.bytes += glyph.coverage.len() + size_of::<Glyph>();
        rasters.glyphs.insert(key, glyph);
        if !more {
            return;
        }
    }
}

/// Control characters are spaces, unknown ones a box.
fn glyph_id(c: char) -> GlyphId {
    match FACE.glyph_id(if c.is_control() { ' ' } else { c }) {
        GlyphId(0) => FACE.glyph_id('□'),
        known => known,
    }
}

fn rasterise(c: char, height: f32) -> Glyph {
    let scale = PxScale::from(height);
    let face = FACE.as_scaled(scale);
    let id = glyph_id(c);
    let advance = face.h_advance(id);
    let glyph = id.with_scale_and_position(scale, point(0.0, face.ascent().round()));
    let Some(outline) = FACE.outline_glyph(glyph) else {
        return Glyph { left: 0, top: 0, width: 0, coverage: Vec::new(), advance };
    };
    let bounds = outline.px_bounds();
    let (width, rows) = (bounds.width() as usize, bounds.height() as usize);
    let mut coverage = vec![0; width * rows];
    outline.draw(|x, y, amount| {
        if let Some(cell) = coverage.get_mut(y as usize * width + x as usize) {
            *cell = (amount.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    });
    Glyph { left: bounds.min.x as i32, top: bounds.min.y as i32, width, coverage, advance }
}
