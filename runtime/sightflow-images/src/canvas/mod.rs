//! A surface that is drawn on.

mod ellipse;
mod layer;
mod mask;
mod paste;
mod path;
mod rectangle;
mod text;

use layer::{Layer, Span};

use crate::convert::append_row;
use crate::{Area, DrawOp, Image, ImageError, Ink, PixelFormat, Pixels};

/// A copy-on-write surface: the pixels of its base are copied when something is drawn, not before.
///
/// Every coordinate is allowed; what lies outside of the surface is clipped, and costs no more than what lies inside.
#[derive(Debug)]
pub struct Canvas {
    /// What the surface looks like; moved into `pixels` by the first change.
    base: Image,
    pixels: Option<Pixels>,
    spans: Vec<Span>,
    coverage: Vec<u8>,
    painted: u64,
}

impl Canvas {
    /// A surface that starts as `base`, with its pixel format.
    ///
    /// # Errors
    /// Those of [`Image::view`]: a base that cannot be decoded is refused here.
    pub fn over(base: &Image) -> Result<Self, ImageError> {
        base.view()?;
        Ok(Self::starting_as(base.clone()))
    }

    /// An RGB surface of one colour.
    ///
    /// # Errors
    /// Those of [`crate::check_size`].
    pub fn blank(width: u32, height: u32, [r, g, b]: [u8; 3]) -> Result<Self, ImageError> {
        Ok(Self::starting_as(Image::from_pixels(Pixels::filled(width, height, PixelFormat::Rgb8, &[r, g, b])?)))
    }

    fn starting_as(base: Image) -> Self {
        Self { base, pixels: None, spans: Vec::new(), coverage: Vec::new(), painted: 0 }
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> (u32, u32) {
        self.base.size()
    }

    /// Pixel format; that of the base.
    pub fn format(&self) -> PixelFormat {
        self.base.format()
    }

    /// Pixels painted so far, each as often as it was: what a host may charge for.
    pub const fn painted(&self) -> u64 {
        self.painted
    }

    /// Draws in order.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for an operation that makes no sense (a mask of another size, an angle or height that
    /// is no number); those before it were drawn. Those of [`Image::view`] for a pasted image.
    pub fn draw(&mut self, ops: &[DrawOp]) -> Result<(), ImageError> {
        for op in ops {
            match op {
                DrawOp::Rectangle(rectangle) => self.draw_rectangle(rectangle)?,
                DrawOp::Path(path) => self.draw_path(path)?,
                DrawOp::Ellipse(ellipse) => self.draw_ellipse(ellipse)?,
                DrawOp::Text(text) => self.draw_text(text)?,
                DrawOp::Mask(mask) => self.draw_mask(mask)?,
                DrawOp::Image(pasted) => self.draw_pasted(pasted)?,
                DrawOp::Outside(outside) => self.draw_outside(outside)?,
            }
        }
        Ok(())
    }

    /// Replaces the pixels of `area` by packed rows in `format`, converted to the surface's format.
    ///
    /// # Errors
    /// [`ImageError::OutOfBounds`] if the area reaches outside, [`ImageError::Invalid`] if it is empty or `pixels` has
    /// another length than it asks for.
    pub fn write(&mut self, area: impl Into<Area>, format: PixelFormat, pixels: &[u8]) -> Result<(), ImageError> {
        let rect = area.into().within(self.size())?;
        let expected = rect.width as usize * rect.height as usize * format.channels();
        if pixels.len() != expected {
            return Err(ImageError::Invalid(format!(
                "{}×{} {format:?} needs {expected} bytes, not {}",
                rect.width,
                rect.height,
                pixels.len()
            )));
        }
        self.painted += u64::from(rect.width) * u64::from(rect.height);
        let surface = self.surface()?;
        let (to, stride) = (surface.format(), surface.stride());
        let mut converted = Vec::new();
        for (y, row) in pixels.chunks_exact(rect.width as usize * format.channels()).enumerate() {
            converted.clear();
            append_row(row, format, to, &mut converted);
            let start = (rect.y as usize + y) * stride + rect.x as usize * to.channels();
            surface.data_mut()[start..start + converted.len()].copy_from_slice(&converted);
        }
        Ok(())
    }

    /// Freezes the surface. A surface that was never drawn on is its base again, reference included.
    pub fn finish(self) -> Image {
        match self.pixels {
            Some(pixels) => Image::from_pixels(pixels),
            None => self.base,
        }
    }

    fn surface(&mut self) -> Result<&mut Pixels, ImageError> {
        if self.pixels.is_none() {
            let own = self.base.pixels()?;
            // A crop was copied already; everything else is shared and copied here.
            self.pixels = Some(std::sync::Arc::unwrap_or_clone(own));
        }
        // Set above.
        self.pixels.as_mut().ok_or_else(|| ImageError::invalid("the surface is gone"))
    }

    /// One pass of `ink` over the shape that `cover` reports.
    fn layer(
        &mut self,
        ink: Ink,
        cover: impl FnOnce(&mut Layer<'_>) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mut spans = std::mem::take(&mut self.spans);
        let mut layer = Layer::new(self.surface()?, ink, &mut spans);
        let covered = cover(&mut layer);
        self.painted += layer.finish();
        self.spans = spans;
        covered
    }
}

/// Steps that one operation may take; beyond it the operation is refused instead of blocking its caller.
const MAX_STEPS: u64 = 1 << 28;

/// Refuses operations whose cost is out of proportion.
fn check_steps(what: &str, steps: u64) -> Result<(), ImageError> {
    if steps <= MAX_STEPS { Ok(()) } else { Err(ImageError::Invalid(format!("{what} is too complex to draw"))) }
}
