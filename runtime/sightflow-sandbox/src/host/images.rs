//! `sightflow:block/images`: handles in front of `sightflow-images`, with an allowance for everything that costs.
//!
//! What is refused for lack of an allowance is told to the guest as `budget` and remembered: if the guest fails then, the
//! call fails with the limit's own code. What has no sense is refused before it costs anything.

use sightflow_images::{self as raster, Canvas, Image};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::images as wit;
use super::operation::Answer;
use super::state::CallState;
use super::stop::Stop;
use crate::error::LimitKind;

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

impl CallState {
    fn image(&self, handle: &Resource<Image>) -> wasmtime::Result<Image> {
        Ok(self.table.get(handle)?.clone())
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
                area: raster::Area { x: 0, y: 0, width: op.size.width, height: op.size.height },
                order: raster::MaskOrder::RowMajor,
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
        let format = raster::PixelFormat::from(format);
        if let Err(error) = raster::Pixels::fits(size.width, size.height, format, pixels.len()) {
            return self.failed(error).map(Err);
        }
        if let Err(kind) = self.charge_copy(pixels.len() as u64) {
            return Ok(Err(kind.into()));
        }
        self.make(|state| {
            let pixels = raster::Pixels::new_in(&state.work, size.width, size.height, format, pixels);
            Ok(pixels.map(Image::from_pixels))
        })
    }

    fn text_size(&mut self, content: String, height: f32) -> wasmtime::Result<wit::Size> {
        // The interface measures what it would not draw; `max` makes a number of what is none.
        let height = height.max(1.0).min(4096.0);
        match self.operate(|state| Ok(raster::text_size_in(&state.work, &content, height)))? {
            Ok((width, height)) => Ok(wit::Size { width, height }),
            // The interface has no word for it.
            Err(_) => Err(wasmtime::Error::new(Stop::Limit(LimitKind::HostSteps))),
        }
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
            other => return Err(wasmtime::Error::msg(format!("this interface has no format {}", other.name()))),
        })
    }

    fn crop(&mut self, image: Resource<Image>, area: wit::Rect) -> Answer<Resource<Image>> {
        // A view costs less than looking at the clocks.
        if let Err(kind) = self.charge_handle() {
            return Ok(Err(kind.into()));
        }
        match self.table.get(&image)?.crop(area) {
            Ok(view) => {
                self.granted();
                Ok(Ok(self.table.push(view)?))
            }
            Err(error) => {
                self.unmade_handle();
                self.failed(error).map(Err)
            }
        }
    }

    fn resize(&mut self, image: Resource<Image>, to: wit::Size, filter: wit::ResizeFilter) -> Answer<Resource<Image>> {
        self.derive(&image, |image, work| image.resize_in(work, to.width, to.height, filter.into()))
    }

    fn rotate(&mut self, image: Resource<Image>, quarter_turns_clockwise: u8, mirror: bool) -> Answer<Resource<Image>> {
        self.derive(&image, |image, work| image.rotate_in(work, quarter_turns_clockwise, mirror))
    }

    fn convert(&mut self, image: Resource<Image>, to: wit::PixelFormat) -> Answer<Resource<Image>> {
        self.derive(&image, |image, work| image.convert_in(work, to.into()))
    }

    fn blur(&mut self, image: Resource<Image>, sigma: f32) -> Answer<Resource<Image>> {
        self.derive(&image, |image, work| image.blur_in(work, sigma))
    }

    fn histogram(&mut self, image: Resource<Image>) -> Answer<Vec<wit::ChannelHistogram>> {
        let image = self.image(&image)?;
        let tables = self.operate(|state| Ok(image.histogram_in(&state.work)))?;
        let wire = |counts: [u32; 256]| wit::ChannelHistogram { counts: counts.map(u64::from).to_vec() };
        Ok(tables.map(|tables| tables.into_iter().map(wire).collect()))
    }

    fn read(&mut self, image: Resource<Image>, area: wit::Rect, format: wit::PixelFormat) -> Answer<Vec<u8>> {
        let image = self.image(&image)?;
        let format = raster::PixelFormat::from(format);
        let area = raster::Area::from(area);
        let bytes = match area.within(image.size()) {
            Ok(rect) => u64::from(rect.width) * u64::from(rect.height) * format.bytes() as u64,
            Err(error) => return self.failed(error).map(Err),
        };
        if let Err(kind) = self.charge_copy(bytes) {
            return Ok(Err(kind.into()));
        }
        let pixels = self.operate(|state| Ok(image.read_in(&state.work, area, format)))?;
        Ok(pixels.map(|mut pixels| {
            let data = pixels.lend_data();
            self.lent = Some(pixels);
            data
        }))
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
        self.make(|state| Ok(Canvas::over_in(&state.work, &base)))
    }

    fn blank(&mut self, size: wit::Size, r: u8, g: u8, b: u8) -> Answer<Resource<Canvas>> {
        self.make(|state| {
            Ok(Canvas::blank_in(
                &state.work,
                size.width,
                size.height,
                raster::PixelFormat::Rgb8,
                raster::Ink::opaque(r, g, b),
            ))
        })
    }

    fn draw(&mut self, canvas: Resource<Canvas>, ops: Vec<wit::DrawOp>) -> Answer<()> {
        self.operate(|state| {
            for op in ops {
                let op = state.draw_op(op)?;
                let Self { table, work, .. } = state;
                if let Err(error) = table.get_mut(&canvas)?.draw_in(work, std::slice::from_ref(&op)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
    }

    fn write(
        &mut self,
        canvas: Resource<Canvas>,
        area: wit::Rect,
        format: wit::PixelFormat,
        pixels: Vec<u8>,
    ) -> Answer<()> {
        let (area, format) = (raster::Area::from(area), raster::PixelFormat::from(format));
        let size = self.table.get(&canvas)?.size();
        let fits =
            area.within(size).and_then(|rect| raster::Pixels::fits(rect.width, rect.height, format, pixels.len()));
        if let Err(error) = fits {
            return self.failed(error).map(Err);
        }
        if let Err(kind) = self.charge_copy(pixels.len() as u64) {
            return Ok(Err(kind.into()));
        }
        self.operate(|state| {
            let Self { table, work, .. } = state;
            Ok(table.get_mut(&canvas)?.write_in(work, area, format, &pixels))
        })
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
