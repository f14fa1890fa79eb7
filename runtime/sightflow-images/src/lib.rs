#![doc = include_str!("../README.md")]

mod cache;
mod canvas;
mod convert;
mod decode;
mod draw_op;
mod drawing;
mod encode;
mod error;
mod font;
mod handle;
mod jpeg;
mod open;
mod operations;
mod ops;
mod pixels;
mod probe;
mod rotate;
mod source_format;
mod thumbnail;
mod tiff;
mod work;

pub use cache::{CacheStats, PixelCache};
pub use canvas::Canvas;
pub use draw_op::{
    DrawOp, Ellipse, Ink, Mask, MaskOrder, Outside, Pasted, Path, Point, Rectangle, Stroke, Text, TextBackground,
};
pub use drawing::Drawing;
pub use encode::{EncodeFormat, EncodedFile, encode, encode_file_in, encode_in};
pub use error::{Allowance, ImageError, MAX_PIXELS, MAX_SIDE, check_size};
pub use font::{text_size, text_size_in};
pub use handle::{Image, ReadOptions};
pub use ops::border::Border;
pub use ops::contours::{Contour, Contours};
pub use ops::resize::ResizeFilter;
pub use pixels::{Area, PixelFormat, Pixels, View};
pub use probe::{Probe, probe};
pub use sightflow_types::image_ops::{ColorSpace, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod};
pub use source_format::SourceFormat;
pub use thumbnail::{Fit, thumbnail, thumbnail_in};
pub use work::Work;
