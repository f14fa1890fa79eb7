//! The one embedded face, and its rasters.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ab_glyph::{Font, FontRef, GlyphId, Outline, OutlineCurve, PxScale, ScaleFont, point};
use ab_glyph_rasterizer::Rasterizer;

use crate::ImageError;
use crate::work::Work;

/// DejaVu Sans, cut down to Latin, Greek, Cyrillic and common signs; licence beside the file.
static FACE: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../assets/DejaVuSans-subset.ttf"))
        .expect("the embedded font is well formed")
});

/// Heights of text that are drawn; others are refused.
const HEIGHTS: std::ops::RangeInclusive<f32> = 1.0..=4096.0;

/// Rasters kept; beyond it the cache starts again.
const CACHE_BYTES: usize = 8 << 20;

/// A larger glyph is not kept, and rasterised a band of about so many pixels at a time.
const KEPT_BYTES: usize = 64 << 10;

/// What looking up a letter costs, in steps of [`Work`].
const STEPS_PER_LETTER: u64 = 40;

/// What a pixel of a raster costs, in steps of [`Work`].
const STEPS_PER_PIXEL: u64 = 4;

/// Coverage of one glyph or of a band of it, relative to the pen at the top of the line.
#[derive(Debug)]
pub(crate) struct Glyph {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) width: usize,
    /// Rows of `width` coverages, 0..=255.
    pub(crate) coverage: Vec<u8>,
}

#[derive(Default)]
struct Rasters {
    glyphs: HashMap<(char, u32), Arc<Glyph>>,
    bytes: usize,
}

/// Locked to look something up or to keep it, never while something is rasterised: one caller does not wait for another's
/// letters.
static RASTERS: LazyLock<Mutex<Rasters>> = LazyLock::new(Mutex::default);

/// Columns and rows of the box that `text` fills when drawn with this height.
///
/// # Errors
/// [`ImageError::Invalid`] for a height outside of 1..=4096 pixels.
pub fn text_size(text: &str, height: f32) -> Result<(u32, u32), ImageError> {
    text_size_in(&Work::default(), text, height)
}

/// As [`text_size`], within the bounds of `work`.
///
/// # Errors
/// As [`text_size`], and those of `work`.
pub fn text_size_in(work: &Work, text: &str, height: f32) -> Result<(u32, u32), ImageError> {
    check_height(height)?;
    let mut width = 0.0f32;
    for c in text.chars() {
        work.spend(STEPS_PER_LETTER)?;
        width += advance(c, height);
    }
    Ok((width.ceil() as u32, height.ceil() as u32))
}

/// Refuses heights that no text is drawn with.
pub(crate) fn check_height(height: f32) -> Result<(), ImageError> {
    if HEIGHTS.contains(&height) {
        return Ok(());
    }
    Err(ImageError::Invalid(format!("text is {height} pixels high; it must be 1..4096")))
}

/// How far the pen moves for one letter.
pub(crate) fn advance(c: char, height: f32) -> f32 {
    FACE.as_scaled(PxScale::from(height)).h_advance(glyph_id(c))
}

/// Gives `each` the raster of a letter: whole and kept for the next one, or in bands if it is large. Stops when it
/// fails; bands that lie outside of `rows` (relative to the top of the line) are left out.
pub(crate) fn raster(
    work: &Work,
    c: char,
    height: f32,
    rows: std::ops::Range<i64>,
    mut each: impl FnMut(&Glyph) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    work.spend(STEPS_PER_LETTER)?;
    let key = (c, height.to_bits());
    let kept = rasters().glyphs.get(&key).map(Arc::clone);
    if let Some(glyph) = kept {
        return each(&glyph);
    }
    let shape = Shape::of(c, height);
    if shape.width * shape.rows > KEPT_BYTES {
        let band = (KEPT_BYTES / shape.width).max(1);
        for first in (0..shape.rows).step_by(band) {
            let count = band.min(shape.rows - first);
            let top = i64::from(shape.top) + first as i64;
            if top < rows.end && rows.start < top + count as i64 {
                each(&shape.band(work, first, count)?)?;
            }
        }
        return Ok(());
    }
    let glyph = Arc::new(shape.band(work, 0, shape.rows)?);
    {
        let mut rasters = rasters();
        if rasters.bytes + glyph.coverage.len() > CACHE_BYTES {
            *rasters = Rasters::default();
        }
        rasters.bytes += glyph.coverage.len() + size_of::<Glyph>();
        rasters.glyphs.insert(key, Arc::clone(&glyph));
    }
    each(&glyph)
}

fn rasters() -> std::sync::MutexGuard<'static, Rasters> {
    RASTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Control characters are spaces, unknown ones a box.
fn glyph_id(c: char) -> GlyphId {
    match FACE.glyph_id(if c.is_control() { ' ' } else { c }) {
        GlyphId(0) => FACE.glyph_id('□'),
        known => known,
    }
}

/// The outline of a letter and the pixels that it reaches.
struct Shape {
    left: i32,
    top: i32,
    width: usize,
    rows: usize,
    /// None for a letter without ink.
    outline: Option<Outline>,
    scale: (f32, f32),
    offset: (f32, f32),
}

impl Shape {
    fn of(c: char, height: f32) -> Self {
        let scale = PxScale::from(height);
        let face = FACE.as_scaled(scale);
        let id = glyph_id(c);
        let position = point(0.0, face.ascent().round());
        let factors = (face.h_scale_factor(), -face.v_scale_factor());
        let Some(outlined) = FACE.outline_glyph(id.with_scale_and_position(scale, position)) else {
            return Self { left: 0, top: 0, width: 0, rows: 0, outline: None, scale: factors, offset: (0.0, 0.0) };
        };
        let bounds = outlined.px_bounds();
        Self {
            left: bounds.min.x as i32,
            top: bounds.min.y as i32,
            width: bounds.width() as usize,
            rows: bounds.height() as usize,
            outline: FACE.outline(id),
            scale: factors,
            offset: (position.x - bounds.min.x, position.y - bounds.min.y),
        }
    }

    /// `count` rows from row `first` on.
    fn band(&self, work: &Work, first: usize, count: usize) -> Result<Glyph, ImageError> {
        let curves = self.outline.as_ref().map_or(&[][..], |outline| &outline.curves[..]);
        let pixels = self.width * count;
        work.spend(STEPS_PER_PIXEL * pixels as u64 + 16 * curves.len() as u64)?;
        let mut raster = Rasterizer::new(self.width, count);
        let at = |p: &ab_glyph::Point| {
            point(p.x * self.scale.0 + self.offset.0, p.y * self.scale.1 + self.offset.1 - first as f32)
        };
        for curve in curves {
            match curve {
                OutlineCurve::Line(a, b) => raster.draw_line(at(a), at(b)),
                OutlineCurve::Quad(a, b, c) => raster.draw_quad(at(a), at(b), at(c)),
                OutlineCurve::Cubic(a, b, c, d) => raster.draw_cubic(at(a), at(b), at(c), at(d)),
            }
        }
        let mut coverage = vec![0; pixels];
        raster.for_each_pixel(|index, amount| {
            if let Some(cell) = coverage.get_mut(index) {
                *cell = (amount.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            }
        });
        Ok(Glyph { left: self.left, top: self.top + first as i32, width: self.width, coverage })
    }
}
