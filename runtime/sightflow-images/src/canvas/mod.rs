//! A surface that is drawn on.

mod coverage;
mod ellipse;
mod layer;
mod mask;
mod paste;
mod path;
mod rectangle;
mod text;

use coverage::Coverage;
use layer::Layer;

use crate::convert::append_row;
use crate::work::Work;
use crate::{Area, DrawOp, Image, ImageError, Ink, PixelFormat, Pixels};

/// A copy-on-write surface: the pixels of its base are copied when something is drawn, not before.
///
/// Every coordinate is allowed; what lies outside of the surface is clipped, and costs no more than what lies inside.
#[derive(Debug)]
pub struct Canvas {
    size: (u32, u32),
    format: PixelFormat,
    surface: Surface,
    coverage: Coverage,
    /// How much of each pixel a text covers.
    letters: Vec<u8>,
    painted: u64,
}

#[derive(Debug)]
enum Surface {
    /// Nothing was drawn yet.
    Base(Image),
    Own(Pixels),
}

/// Steps that every operation costs, whatever it draws.
const STEPS_PER_OP: u64 = 64;

impl Canvas {
    /// A surface that starts as `base`, with its pixel format.
    ///
    /// # Errors
    /// Those of [`Image::view`]: a base that cannot be decoded is refused here.
    pub fn over(base: &Image) -> Result<Self, ImageError> {
        Self::over_in(&Work::default(), base)
    }

    /// As [`Canvas::over`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Canvas::over`], and those of `work`.
    pub fn over_in(work: &Work, base: &Image) -> Result<Self, ImageError> {
        base.view_in(work)?;
        Ok(Self::starting_as(base.clone()))
    }

    /// A surface of one colour. In `rgba8` the ink's opacity is the alpha of every pixel, so that an overlay may start
    /// out transparent.
    ///
    /// # Errors
    /// Those of [`crate::check_size`]; [`ImageError::Invalid`] for an opacity outside of 0..=1, one other than 1 without
    /// alpha, and for a format that nothing can be drawn on.
    pub fn blank(width: u32, height: u32, format: PixelFormat, ink: Ink) -> Result<Self, ImageError> {
        Self::blank_in(&Work::default(), width, height, format, ink)
    }

    /// As [`Canvas::blank`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Canvas::blank`], and those of `work`.
    pub fn blank_in(work: &Work, width: u32, height: u32, format: PixelFormat, ink: Ink) -> Result<Self, ImageError> {
        let pixel = ink.pixel(format)?;
        let pixels = Pixels::filled_in(work, (width, height), format, &pixel[..format.bytes()])?;
        Ok(Self::starting_as(Image::from_pixels(pixels)))
    }

    fn starting_as(base: Image) -> Self {
        Self {
            size: base.size(),
            format: base.format(),
            surface: Surface::Base(base),
            coverage: Coverage::default(),
            letters: Vec::new(),
            painted: 0,
        }
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Pixel format; that of the base.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pixels painted so far, each as often as it was.
    pub const fn painted(&self) -> u64 {
        self.painted
    }

    /// Draws in order.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for an operation that makes no sense (a mask whose runs do not fill its area, an angle or height that
    /// is no number) or has too many points, letters or areas; those before it were drawn. Those of [`Image::view`]
    /// for a pasted image.
    pub fn draw(&mut self, ops: &[DrawOp]) -> Result<(), ImageError> {
        self.draw_in(&Work::default(), ops)
    }

    /// As [`Canvas::draw`], within the bounds of `work`. A bound that is met ends the operation in the middle.
    ///
    /// # Errors
    /// As [`Canvas::draw`], and those of `work`.
    pub fn draw_in(&mut self, work: &Work, ops: &[DrawOp]) -> Result<(), ImageError> {
        if !ops.is_empty() {
            self.format.require_8_bits("drawing")?;
        }
        for op in ops {
            work.spend(STEPS_PER_OP)?;
            match op {
                DrawOp::Rectangle(rectangle) => self.draw_rectangle(work, rectangle)?,
                DrawOp::Path(path) => self.draw_path(work, path)?,
                DrawOp::Ellipse(ellipse) => self.draw_ellipse(work, ellipse)?,
                DrawOp::Text(text) => self.draw_text(work, text)?,
                DrawOp::Mask(mask) => self.draw_mask(work, mask)?,
                DrawOp::Image(pasted) => self.draw_pasted(work, pasted)?,
                DrawOp::Outside(outside) => self.draw_outside(work, outside)?,
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
        self.write_in(&Work::default(), area, format, pixels)
    }

    /// As [`Canvas::write`], within the bounds of `work`.
    ///
    /// # Errors
    /// As [`Canvas::write`], and those of `work`.
    pub fn write_in(
        &mut self,
        work: &Work,
        area: impl Into<Area>,
        format: PixelFormat,
        pixels: &[u8],
    ) -> Result<(), ImageError> {
        let rect = area.into().within(self.size())?;
        let expected = rect.width as usize * rect.height as usize * format.bytes();
        if pixels.len() != expected {
            return Err(ImageError::Invalid(format!(
                "{}×{} {format:?} needs {expected} bytes, not {}",
                rect.width,
                rect.height,
                pixels.len()
            )));
        }
        self.painted += u64::from(rect.width) * u64::from(rect.height);
        let surface = self.surface(work)?;
        let (to, stride) = (surface.format(), surface.stride());
        let mut converted = Vec::new();
        for (y, row) in pixels.chunks_exact(rect.width as usize * format.bytes()).enumerate() {
            work.spend(8 + 2 * u64::from(rect.width))?;
            converted.clear();
            append_row(row, format, to, &mut converted);
            let start = (rect.y as usize + y) * stride + rect.x as usize * to.bytes();
            surface.data_mut()[start..start + converted.len()].copy_from_slice(&converted);
        }
        Ok(())
    }

    /// Freezes the surface. A surface that was never drawn on is its base again, reference included.
    pub fn finish(self) -> Image {
        match self.surface {
            Surface::Own(pixels) => Image::from_pixels(pixels),
            Surface::Base(base) => base,
        }
    }

    /// The pixels to draw on. The first caller pays for the copy; the base is let go.
    fn surface(&mut self, work: &Work) -> Result<&mut Pixels, ImageError> {
        if let Surface::Base(base) = &mut self.surface {
            let own = match base.take_pixels() {
                Some(pixels) => pixels,
                None => Pixels::copied_in(work, &base.view_in(work)?)?,
            };
            self.surface = Surface::Own(own);
        }
        match &mut self.surface {
            Surface::Own(pixels) => Ok(pixels),
            Surface::Base(_) => Err(ImageError::invalid("the surface is gone")),
        }
    }

    /// Inclusive corners of the surface.
    fn bounds(&self) -> (i64, i64, i64, i64) {
        (0, 0, i64::from(self.size.0) - 1, i64::from(self.size.1) - 1)
    }

    /// One pass of `ink` over the shape that `cover` reports and that lies within `bounds`. A shape that cannot touch
    /// the surface costs nothing more.
    fn layer(
        &mut self,
        work: &Work,
        ink: Ink,
        bounds: (i64, i64, i64, i64),
        cover: impl FnOnce(&mut Layer<'_>) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let (_, _, right, bottom) = self.bounds();
        let misses = bounds.0 > right || bounds.1 > bottom || bounds.2 < 0 || bounds.3 < 0;
        if misses || ink.opacity.is_nan() || ink.opacity <= 0.0 {
            return Ok(());
        }
        let mut coverage = std::mem::take(&mut self.coverage);
        let mut layer = Layer::new(work, self.surface(work)?, ink, &mut coverage);
        cover(&mut layer)?;
        self.painted += layer.finish()?;
        self.coverage = coverage;
        Ok(())
    }
}

/// Steps that one operation may take; beyond it the operation is refused instead of blocking its caller.
const MAX_STEPS: u64 = 1 << 28;

/// Refuses operations whose cost is out of proportion.
fn check_steps(what: &str, steps: u64) -> Result<(), ImageError> {
    if steps <= MAX_STEPS { Ok(()) } else { Err(ImageError::Invalid(format!("{what} is too complex to draw"))) }
}
