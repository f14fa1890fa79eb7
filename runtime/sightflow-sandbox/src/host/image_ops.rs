//! `sightflow:block/image-ops`: what is done with pixels most often.

use std::any::Any;

use sightflow_images::{
    self as raster, Border, ColorSpace, EncodeFormat, Flip, Image, ImageError, KernelShape, Margins, Morphology,
    Retrieval, ThresholdMethod, Work,
};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::image_ops as ops;
use super::bindings::sightflow::block::images as wit;
use super::operation::Answer;
use super::state::CallState;
use super::{drawing, names};

/// The value, or the refusal as the guest's answer.
macro_rules! known {
    ($value:expr) => {
        match $value {
            Ok(value) => value,
            Err(unknown) => return Ok(Err(unknown)),
        }
    };
}

fn border(border: &ops::Border) -> Result<Border, wit::ImageError> {
    names::named("border", &["constant", "replicate", "reflect-101"], |mode| mode, &border.mode).map(
        |mode| match mode {
            "constant" => Border::Constant(drawing::ink(border.fill)),
            "replicate" => Border::Replicate,
            _ => Border::Reflect101,
        },
    )
}

fn threshold_method(name: &str) -> Result<ThresholdMethod, wit::ImageError> {
    names::named("method", ThresholdMethod::ALL, ThresholdMethod::as_str, name)
}

fn color_space(name: &str) -> Result<ColorSpace, wit::ImageError> {
    names::named("colour space", ColorSpace::ALL, ColorSpace::as_str, name)
}

/// A matrix of so many numbers.
fn matrix<const N: usize>(numbers: Vec<f64>) -> Result<[f64; N], wit::ImageError> {
    let count = numbers.len();
    numbers.try_into().map_err(|_| wit::ImageError::Invalid(format!("a matrix of {count} numbers; it must have {N}")))
}

impl CallState {
    /// As `derive`, from several images.
    fn combine<const N: usize>(
        &mut self,
        images: [&Resource<Image>; N],
        work: impl FnOnce([&Image; N], &Work) -> Result<Image, ImageError>,
    ) -> Answer<Resource<Image>> {
        let mut given = Vec::with_capacity(N);
        for image in images {
            given.push(self.table.get(image)?.clone());
        }
        self.make(|state| Ok(work(std::array::from_fn(|index| &given[index]), &state.work)))
    }

    /// What leaves for the guest, with what it holds of the budget until it was copied.
    fn leave<T>(&mut self, value: T, bytes: u64, held: impl Any + Send) -> Result<T, wit::ImageError> {
        self.charge_copy(bytes)?;
        self.lent = Some(Box::new(held));
        Ok(value)
    }

    fn statistics(
        &mut self,
        source: &Resource<Image>,
        mask: Option<&Resource<Image>>,
        work: impl FnOnce(&Image, &Work, Option<&Image>) -> Result<Vec<f64>, ImageError>,
    ) -> Answer<Vec<f64>> {
        let image = self.table.get(source)?.clone();
        let mask = mask.map(|mask| self.table.get(mask).cloned()).transpose()?;
        self.operate(|state| Ok(work(&image, &state.work, mask.as_ref())))
    }
}

impl ops::Host for CallState {
    fn threshold(&mut self, source: Resource<Image>, level: f32, high: f32, method: String) -> Answer<Resource<Image>> {
        let method = known!(threshold_method(&method));
        self.derive(&source, |image, work| image.threshold_in(work, level, high, method))
    }

    fn otsu_level(&mut self, source: Resource<Image>) -> Answer<f32> {
        let image = self.table.get(&source)?.clone();
        self.operate(|state| Ok(image.otsu_level_in(&state.work)))
    }

    fn adaptive_threshold(
        &mut self,
        source: Resource<Image>,
        window: u32,
        offset: f32,
        method: String,
    ) -> Answer<Resource<Image>> {
        let method = known!(threshold_method(&method));
        self.derive(&source, |image, work| image.adaptive_threshold_in(work, window, offset, method))
    }

    fn convert_color(&mut self, source: Resource<Image>, current: String, wanted: String) -> Answer<Resource<Image>> {
        let (current, wanted) = (known!(color_space(&current)), known!(color_space(&wanted)));
        self.derive(&source, |image, work| image.convert_color_in(work, current, wanted))
    }

    fn warp_affine(
        &mut self,
        source: Resource<Image>,
        numbers: Vec<f64>,
        to: wit::Size,
        filter: String,
        outside: ops::Border,
    ) -> Answer<Resource<Image>> {
        let (numbers, filter) = (known!(matrix(numbers)), known!(names::resize_filter(&filter)));
        let outside = known!(border(&outside));
        let size = (to.width, to.height);
        self.derive(&source, |image, work| image.warp_affine_in(work, numbers, size, filter, outside))
    }

    fn warp_perspective(
        &mut self,
        source: Resource<Image>,
        numbers: Vec<f64>,
        to: wit::Size,
        filter: String,
        outside: ops::Border,
    ) -> Answer<Resource<Image>> {
        let (numbers, filter) = (known!(matrix(numbers)), known!(names::resize_filter(&filter)));
        let outside = known!(border(&outside));
        let size = (to.width, to.height);
        self.derive(&source, |image, work| image.warp_perspective_in(work, numbers, size, filter, outside))
    }

    fn pad(
        &mut self,
        source: Resource<Image>,
        left: u32,
        top: u32,
        right: u32,
        bottom: u32,
        outside: ops::Border,
    ) -> Answer<Resource<Image>> {
        let outside = known!(border(&outside));
        self.derive(&source, |image, work| image.pad_in(work, Margins { left, top, right, bottom }, outside))
    }

    fn flip(&mut self, source: Resource<Image>, axis: ops::Axis) -> Answer<Resource<Image>> {
        let flip = match axis {
            ops::Axis::Horizontal => Flip::Horizontal,
            ops::Axis::Vertical => Flip::Vertical,
            ops::Axis::Both => Flip::Both,
        };
        self.derive(&source, |image, work| image.flip_in(work, flip))
    }

    fn morphology(
        &mut self,
        source: Resource<Image>,
        operation: String,
        shape: String,
        kernel: wit::Size,
        iterations: u32,
    ) -> Answer<Resource<Image>> {
        let operation = known!(names::named("operation", Morphology::ALL, Morphology::as_str, &operation));
        let shape = known!(names::named("shape", KernelShape::ALL, KernelShape::as_str, &shape));
        let kernel = (kernel.width, kernel.height);
        self.derive(&source, |image, work| image.morphology_in(work, operation, shape, kernel, iterations))
    }

    fn blend(
        &mut self,
        first: Resource<Image>,
        first_weight: f32,
        second: Resource<Image>,
        second_weight: f32,
        offset: f32,
    ) -> Answer<Resource<Image>> {
        self.combine([&first, &second], |[first, second], work| {
            first.blend_in(work, first_weight, second, second_weight, offset)
        })
    }

    fn absolute_difference(&mut self, first: Resource<Image>, second: Resource<Image>) -> Answer<Resource<Image>> {
        self.combine([&first, &second], |[first, second], work| first.absolute_difference_in(work, second))
    }

    fn apply_mask(
        &mut self,
        source: Resource<Image>,
        mask: Resource<Image>,
        fill: wit::Ink,
    ) -> Answer<Resource<Image>> {
        self.combine([&source, &mask], |[image, mask], work| image.apply_mask_in(work, mask, drawing::ink(fill)))
    }

    fn composite(
        &mut self,
        source: Resource<Image>,
        over: Resource<Image>,
        mask: Resource<Image>,
    ) -> Answer<Resource<Image>> {
        self.combine([&source, &over, &mask], |[image, over, mask], work| image.composite_in(work, over, mask))
    }

    fn mean(&mut self, source: Resource<Image>, mask: Option<Resource<Image>>) -> Answer<Vec<f64>> {
        self.statistics(&source, mask.as_ref(), Image::mean_in)
    }

    fn sum(&mut self, source: Resource<Image>, mask: Option<Resource<Image>>) -> Answer<Vec<f64>> {
        self.statistics(&source, mask.as_ref(), Image::sum_in)
    }

    fn contours(&mut self, source: Resource<Image>, retrieval: String) -> Answer<Vec<ops::Contour>> {
        let retrieval = known!(names::named("retrieval", Retrieval::ALL, Retrieval::as_str, &retrieval));
        let image = self.table.get(&source)?.clone();
        let found = known!(self.operate(|state| Ok(image.contours_in(&state.work, retrieval)))?);
        let (contours, held) = found.into_parts();
        let bytes = contours.iter().map(|contour| 16 + 8 * contour.points.len() as u64).sum();
        let point = |point: raster::Point| wit::Point { x: point.x, y: point.y };
        let contours = contours.into_iter().map(|contour| ops::Contour {
            points: contour.points.into_iter().map(point).collect(),
            hole: contour.hole,
        });
        // Made only if it may leave.
        Ok(self.leave((), bytes, held).map(|()| contours.collect()))
    }

    fn encode(&mut self, source: Resource<Image>, format: String, quality: u8) -> Answer<Vec<u8>> {
        let format = known!(names::named("file format", &["png", "jpeg", "webp"], |name| name, &format));
        let format = match format {
            "png" => EncodeFormat::Png,
            "jpeg" => EncodeFormat::Jpeg { quality },
            _ => EncodeFormat::Webp,
        };
        let image = self.table.get(&source)?.clone();
        let file = known!(self.operate(|state| Ok(raster::encode_file_in(&state.work, &image, format)))?);
        let (file, held) = file.into_parts();
        let bytes = file.len() as u64;
        Ok(self.leave(file, bytes, held))
    }
}
