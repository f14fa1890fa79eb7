//! `sightflow:block/images`: handles in front of `sightflow-images`, with an allowance for everything that costs.
//!
//! Every operation asks the wall clock first and is bounded in pixels, so none can hold a thread for long. What is
//! refused for lack of an allowance is told to the guest as `budget` and remembered: if the guest fails after that, the
//! call fails with the limit's own code.

use sightflow_images::{self as raster, Canvas, Image};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::images as wit;
use super::cost;
use super::state::CallState;
use crate::error::LimitKind;

type Answer<T> = wasmtime::Result<Result<T, wit::ImageError>>;

impl From<LimitKind> for wit::ImageError {
    fn from(kind: LimitKind) -> Self {
        Self::Budget(format!("the call's allowance is used up: {kind}"))
    }
}

impl From<raster::ImageError> for wit::ImageError {
    fn from(error: raster::ImageError) -> Self {
        match error {
            raster::ImageError::OutOfBounds(text) => Self::OutOfBounds(text),
            raster::ImageError::TooLarge { pixels, .. } => Self::TooLarge(pixels),
            raster::ImageError::Undecodable(text) => Self::Undecodable(text),
            raster::ImageError::Invalid(text) => Self::Invalid(text),
        }
    }
}

impl From<wit::PixelFormat> for raster::PixelFormat {
    fn from(format: wit::PixelFormat) -> Self {
        match format {
            wit::PixelFormat::Gray8 => Self::Gray8,
            wit::PixelFormat::Rgb8 => Self::Rgb8,
            wit::PixelFormat::Rgba8 => Self::Rgba8,
        }
    }
}

impl From<wit::ResizeFilter> for raster::ResizeFilter {
    fn from(filter: wit::ResizeFilter) -> Self {
        match filter {
            wit::ResizeFilter::Nearest => Self::Nearest,
            wit::ResizeFilter::Bilinear => Self::Bilinear,
            wit::ResizeFilter::Bicubic => Self::Bicubic,
            wit::ResizeFilter::Lanczos3 => Self::Lanczos3,
            wit::ResizeFilter::Area => Self::Area,
        }
    }
}

impl From<wit::Rect> for raster::Area {
    fn from(rect: wit::Rect) -> Self {
        Self { x: rect.x, y: rect.y, width: rect.width, height: rect.height }
    }
}

fn pixels_of((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

impl CallState {
    fn image(&self, handle: &Resource<Image>) -> wasmtime::Result<Image> {
        Ok(self.table.get(handle)?.clone())
    }

    /// Gives the guest a handle; `Err` in the answer when it has too many.
    fn give<T: Send + 'static>(&mut self, value: T) -> Answer<Resource<T>> {
        match self.charge_handle() {
            Ok(()) => Ok(Ok(self.table.push(value)?)),
            Err(kind) => Ok(Err(kind.into())),
        }
    }

    /// An operation from one image to another: `created` pixels come to be, `processed` are read or written.
    fn derive(
        &mut self,
        image: &Image,
        created: u64,
        processed: u64,
        work: impl FnOnce(&Image) -> Result<Image, raster::ImageError>,
    ) -> Answer<Resource<Image>> {
        self.check_wall()?;
        if let Err(kind) = self.charge_created(created).and_then(|()| self.charge_processed(processed)) {
            return Ok(Err(kind.into()));
        }
        match self.uncharged(|_| work(image)) {
            Ok(made) => self.give(made),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn paint(&mut self, handle: &Resource<Canvas>, ops: &[raster::DrawOp]) -> Answer<()> {
        let mut rest = ops;
        while !rest.is_empty() {
            self.check_wall()?;
            let size = self.table.get(handle)?.size();
            let mut cost = 0_u64;
            let costs = rest.iter().map(|op| cost::of(op, size));
            let count = costs
                .take_while(|op| {
                    let more = cost == 0 || cost < cost::SLICE;
                    cost = if more { cost.saturating_add(*op) } else { cost };
                    more
                })
                .count();
            let (now, later) = rest.split_at(count);
            rest = later;
            if let Err(kind) = self.charge_processed(cost) {
                return Ok(Err(kind.into()));
            }
            let painted = self.uncharged(|state| state.table.get_mut(handle).map(|canvas| canvas.draw(now)))?;
            if let Err(error) = painted {
                return Ok(Err(error.into()));
            }
        }
        Ok(Ok(()))
    }

    fn draw_op(&self, op: wit::DrawOp) -> wasmtime::Result<raster::DrawOp> {
        let point = |pixel: wit::Pixel| raster::Point { x: pixel.x, y: pixel.y };
        let ink = |ink: wit::Ink| raster::Ink { r: ink.r, g: ink.g, b: ink.b, opacity: ink.opacity };
        let stroke = |stroke: wit::Stroke| raster::Stroke { ink: ink(stroke.ink), width: stroke.width };
        Ok(match op {
            wit::DrawOp::Rectangle(op) => raster::DrawOp::Rectangle(raster::Rectangle {
                from: point(op.from),
                to: point(op.to),
                corner_radius: op.corner_radius,
                fill: op.fill.map(ink),
                stroke: op.stroke.map(stroke),
            }),
            wit::DrawOp::Path(op) => raster::DrawOp::Path(raster::Path {
                points: op.points.into_iter().map(point).collect(),
                closed: op.closed,
                fill: op.fill.map(ink),
                stroke: op.stroke.map(stroke),
            }),
            wit::DrawOp::Ellipse(op) => raster::DrawOp::Ellipse(raster::Ellipse {
                center: point(op.center),
                radius_x: op.radius_x,
                radius_y: op.radius_y,
                start_angle: op.start_angle,
                end_angle: op.end_angle,
                fill: op.fill.map(ink),
                stroke: op.stroke.map(stroke),
            }),
            wit::DrawOp::Text(op) => raster::DrawOp::Text(raster::Text {
                content: op.content,
                at: point(op.at),
                height: op.height,
                ink: ink(op.ink),
                background: op.background.map(|b| raster::TextBackground { ink: ink(b.ink), padding: b.padding }),
            }),
            wit::DrawOp::Mask(op) => raster::DrawOp::Mask(raster::Mask {
                counts: op.counts,
                width: op.size.width,
                height: op.size.height,
                ink: ink(op.ink),
            }),
            wit::DrawOp::Image(op) => raster::DrawOp::Image(raster::Pasted {
                source: self.image(&op.source)?,
                at: point(op.at),
                opacity: op.opacity,
            }),
            wit::DrawOp::Outside(op) => raster::DrawOp::Outside(raster::Outside {
                areas: op.areas.into_iter().map(Into::into).collect(),
                ink: ink(op.ink),
            }),
        })
    }
}

impl wit::Host for CallState {
    fn from_pixels(&mut self, size: wit::Size, format: wit::PixelFormat, pixels: Vec<u8>) -> Answer<Resource<Image>> {
        self.check_wall()?;
        let count = pixels_of((size.width, size.height));
        if let Err(kind) = self.charge_copy(pixels.len() as u64).and_then(|()| self.charge_created(count)) {
            return Ok(Err(kind.into()));
        }
        match raster::Pixels::new(size.width, size.height, format.into(), pixels) {
            Ok(pixels) => self.give(Image::from_pixels(pixels)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn text_size(&mut self, content: String, height: f32) -> wasmtime::Result<wit::Size> {
        self.check_wall()?;
        let (width, height) = self.uncharged(|_| raster::text_size(&content, height));
        Ok(wit::Size { width, height })
    }
}

impl wit::HostImage for CallState {
    fn size(&mut self, image: Resource<Image>) -> wasmtime::Result<wit::Size> {
        let (width, height) = self.table.get(&image)?.size();
        Ok(wit::Size { width, height })
    }

    fn format(&mut self, image: Resource<Image>) -> wasmtime::Result<wit::PixelFormat> {
        Ok(match self.table.get(&image)?.format() {
            raster::PixelFormat::Gray8 => wit::PixelFormat::Gray8,
            raster::PixelFormat::Rgb8 => wit::PixelFormat::Rgb8,
            raster::PixelFormat::Rgba8 => wit::PixelFormat::Rgba8,
        })
    }

    fn crop(&mut self, image: Resource<Image>, area: wit::Rect) -> Answer<Resource<Image>> {
        match self.table.get(&image)?.crop(area) {
            Ok(view) => self.give(view),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn resize(&mut self, image: Resource<Image>, to: wit::Size, filter: wit::ResizeFilter) -> Answer<Resource<Image>> {
        let image = self.image(&image)?;
        if let Err(error) = raster::check_size(to.width, to.height) {
            return Ok(Err(error.into()));
        }
        let created = pixels_of((to.width, to.height));
        self.derive(&image, created, created.saturating_add(pixels_of(image.size())), |image| {
            image.resize(to.width, to.height, filter.into())
        })
    }

    fn rotate(&mut self, image: Resource<Image>, quarter_turns_clockwise: u8, mirror: bool) -> Answer<Resource<Image>> {
        let image = self.image(&image)?;
        let pixels = pixels_of(image.size());
        self.derive(&image, pixels, pixels, |image| image.rotate(quarter_turns_clockwise, mirror))
    }

    fn convert(&mut self, image: Resource<Image>, to: wit::PixelFormat) -> Answer<Resource<Image>> {
        let image = self.image(&image)?;
        let pixels = pixels_of(image.size());
        self.derive(&image, pixels, pixels, |image| image.convert(to.into()))
    }

    fn blur(&mut self, image: Resource<Image>, sigma: f32) -> Answer<Resource<Image>> {
        let image = self.image(&image)?;
        let pixels = pixels_of(image.size());
        self.derive(&image, pixels, cost::blur(pixels, sigma), |image| image.blur(sigma))
    }

    fn histogram(&mut self, image: Resource<Image>) -> Answer<Vec<wit::ChannelHistogram>> {
        let image = self.image(&image)?;
        self.check_wall()?;
        if let Err(kind) = self.charge_processed(pixels_of(image.size())) {
            return Ok(Err(kind.into()));
        }
        Ok(match self.uncharged(|_| image.histogram()) {
            Ok(tables) => {
                Ok(tables.into_iter().map(|counts| wit::ChannelHistogram { counts: counts.to_vec() }).collect())
            }
            Err(error) => Err(error.into()),
        })
    }

    fn read(&mut self, image: Resource<Image>, area: wit::Rect, format: wit::PixelFormat) -> Answer<Vec<u8>> {
        let image = self.image(&image)?;
        self.check_wall()?;
        let format = raster::PixelFormat::from(format);
        if let Err(error) = raster::Area::from(area).within(image.size()) {
            return Ok(Err(error.into()));
        }
        let pixels = pixels_of((area.width, area.height));
        let bytes = pixels * format.channels() as u64;
        if let Err(kind) = self.charge_copy(bytes).and_then(|()| self.charge_processed(pixels)) {
            return Ok(Err(kind.into()));
        }
        Ok(self.uncharged(|_| image.read(area, format)).map_err(Into::into))
    }

    fn drop(&mut self, image: Resource<Image>) -> wasmtime::Result<()> {
        self.table.delete(image)?;
        self.release_handle();
        Ok(())
    }
}

impl wit::HostCanvas for CallState {
    fn over(&mut self, base: Resource<Image>) -> Answer<Resource<Canvas>> {
        let base = self.image(&base)?;
        self.check_wall()?;
        let pixels = pixels_of(base.size());
        if let Err(kind) = self.charge_created(pixels).and_then(|()| self.charge_processed(pixels)) {
            return Ok(Err(kind.into()));
        }
        match self.uncharged(|_| Canvas::over(&base)) {
            Ok(canvas) => self.give(canvas),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn blank(&mut self, size: wit::Size, r: u8, g: u8, b: u8) -> Answer<Resource<Canvas>> {
        self.check_wall()?;
        if let Err(error) = raster::check_size(size.width, size.height) {
            return Ok(Err(error.into()));
        }
        let pixels = pixels_of((size.width, size.height));
        if let Err(kind) = self.charge_created(pixels).and_then(|()| self.charge_processed(pixels)) {
            return Ok(Err(kind.into()));
        }
        match self.uncharged(|_| Canvas::blank(size.width, size.height, [r, g, b])) {
            Ok(canvas) => self.give(canvas),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn draw(&mut self, canvas: Resource<Canvas>, ops: Vec<wit::DrawOp>) -> Answer<()> {
        let ops = ops.into_iter().map(|op| self.draw_op(op)).collect::<wasmtime::Result<Vec<_>>>()?;
        self.paint(&canvas, &ops)
    }

    fn write(
        &mut self,
        canvas: Resource<Canvas>,
        area: wit::Rect,
        format: wit::PixelFormat,
        pixels: Vec<u8>,
    ) -> Answer<()> {
        self.check_wall()?;
        let painted = pixels_of((area.width, area.height)).min(pixels.len() as u64);
        if let Err(kind) = self.charge_copy(pixels.len() as u64).and_then(|()| self.charge_processed(painted)) {
            return Ok(Err(kind.into()));
        }
        let written = self
            .uncharged(|state| state.table.get_mut(&canvas).map(|canvas| canvas.write(area, format.into(), &pixels)))?;
        Ok(written.map_err(Into::into))
    }

    fn finish(&mut self, canvas: Resource<Canvas>) -> wasmtime::Result<Resource<Image>> {
        // One handle goes, one comes: no allowance is needed.
        let image = self.table.delete(canvas)?.finish();
        Ok(self.table.push(image)?)
    }

    fn drop(&mut self, canvas: Resource<Canvas>) -> wasmtime::Result<()> {
        self.table.delete(canvas)?;
        self.release_handle();
        Ok(())
    }
}
