//! `sightflow:block/images`: handles in front of `sightflow-images`, with an allowance for everything that costs.
//!
//! What is refused for lack of an allowance is told to the guest as `budget` and remembered: if the guest fails then, the
//! call fails with the limit's own code. What has no sense is refused before it costs anything.

use sightflow_images::{self as raster, Canvas, Drawing, Image};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::images as wit;
use super::operation::Answer;
use super::state::CallState;
use super::{drawing, names};

impl From<wit::Rect> for raster::Area {
    fn from(rect: wit::Rect) -> Self {
        Self { x: rect.x, y: rect.y, width: rect.width, height: rect.height }
    }
}

impl CallState {
    fn image(&self, handle: &Resource<Image>) -> wasmtime::Result<Image> {
        Ok(self.table.get(handle)?.clone())
    }
}

impl wit::Host for CallState {
    fn text_size(&mut self, content: String, height: f32) -> Answer<wit::Size> {
        let size = self.operate(|state| Ok(raster::text_size_in(&state.work, &content, height)))?;
        Ok(size.map(|(width, height)| wit::Size { width, height }))
    }
}

impl wit::HostImage for CallState {
    fn from_pixels(&mut self, size: wit::Size, format: String, pixels: Vec<u8>) -> Answer<Resource<Image>> {
        let format = match names::pixel_format(&format) {
            Ok(format) => format,
            Err(unknown) => return Ok(Err(unknown)),
        };
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

    fn size(&mut self, image: Resource<Image>) -> wasmtime::Result<wit::Size> {
        let (width, height) = self.table.get(&image)?.size();
        Ok(wit::Size { width, height })
    }

    fn format(&mut self, image: Resource<Image>) -> wasmtime::Result<String> {
        Ok(self.table.get(&image)?.format().name().to_owned())
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

    fn resize(&mut self, image: Resource<Image>, to: wit::Size, filter: String) -> Answer<Resource<Image>> {
        let filter = match names::resize_filter(&filter) {
            Ok(filter) => filter,
            Err(unknown) => return Ok(Err(unknown)),
        };
        self.derive(&image, |image, work| image.resize_in(work, to.width, to.height, filter))
    }

    fn rotate(
        &mut self,
        image: Resource<Image>,
        clockwise: wit::QuarterTurns,
        mirror: bool,
    ) -> Answer<Resource<Image>> {
        let turns = match clockwise {
            wit::QuarterTurns::Zero => 0,
            wit::QuarterTurns::One => 1,
            wit::QuarterTurns::Two => 2,
            wit::QuarterTurns::Three => 3,
        };
        self.derive(&image, |image, work| image.rotate_in(work, turns, mirror))
    }

    fn convert(&mut self, image: Resource<Image>, to: String) -> Answer<Resource<Image>> {
        let format = match names::pixel_format(&to) {
            Ok(format) => format,
            Err(unknown) => return Ok(Err(unknown)),
        };
        self.derive(&image, |image, work| image.convert_in(work, format))
    }

    fn blur(&mut self, image: Resource<Image>, sigma: f32) -> Answer<Resource<Image>> {
        self.derive(&image, |image, work| image.blur_in(work, sigma))
    }

    fn histogram(&mut self, image: Resource<Image>) -> Answer<Vec<Vec<u32>>> {
        let image = self.image(&image)?;
        let tables = self.operate(|state| Ok(image.histogram_in(&state.work)))?;
        Ok(tables.map(|tables| tables.into_iter().map(|counts| counts.to_vec()).collect()))
    }

    fn read(&mut self, image: Resource<Image>, area: wit::Rect, format: String) -> Answer<Vec<u8>> {
        let image = self.image(&image)?;
        let format = match names::pixel_format(&format) {
            Ok(format) => format,
            Err(unknown) => return Ok(Err(unknown)),
        };
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
            self.lent = Some(Box::new(pixels));
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

    fn blank(&mut self, size: wit::Size, format: String, ink: wit::Ink) -> Answer<Resource<Canvas>> {
        let format = match names::pixel_format(&format) {
            Ok(format) => format,
            Err(unknown) => return Ok(Err(unknown)),
        };
        self.make(|state| Ok(Canvas::blank_in(&state.work, size.width, size.height, format, drawing::ink(ink))))
    }

    fn draw(&mut self, canvas: Resource<Canvas>, shapes: Resource<Drawing>) -> Answer<()> {
        self.operate(|state| {
            let Self { table, work, .. } = state;
            // Both are in one table; the drawing is back in its place before anybody looks.
            let collected = std::mem::take(table.get_mut(&shapes)?);
            let drawn = table.get_mut(&canvas)?.draw_in(work, collected.ops());
            *table.get_mut(&shapes)? = collected;
            Ok(drawn)
        })
    }

    fn write(&mut self, canvas: Resource<Canvas>, area: wit::Rect, format: String, pixels: Vec<u8>) -> Answer<()> {
        let area = raster::Area::from(area);
        let format = match names::pixel_format(&format) {
            Ok(format) => format,
            Err(unknown) => return Ok(Err(unknown)),
        };
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
