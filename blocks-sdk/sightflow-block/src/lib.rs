#![doc = include_str!("../README.md")]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod block;
mod boxes;
mod bytes;
mod color;
mod config;
pub mod draw;
mod error;
mod example;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
mod host;
#[cfg(feature = "http")]
pub mod http;
mod image;
pub mod image_ops;
pub mod log;
mod port;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use serde_json::{Map, Value, json};
pub use sightflow_block_macros::{Choice, Config, Inputs, Outputs, block};
pub use sightflow_types::detection::{BoundingBox, Detection, DetectionInput, FoundBox};
pub use sightflow_types::manifest::{Example, Manifest, NamedOutputs, Port, PortKind, Role};
pub use sightflow_types::{Problem, Rect, detection, pointer_token, round_to};

pub use crate::block::{Block, CheckContext, Entry};
pub use crate::boxes::boxes;
pub use crate::bytes::Bytes;
pub use crate::color::Color;
pub use crate::config::{Config, ConfigType, NoConfig};
pub use crate::draw::Canvas;
pub use crate::error::{BlockError, Complaint};
pub use crate::example::example;
pub use crate::image::{Image, ImageError, PixelFormat, QuarterTurns, ResizeFilter};
pub use crate::port::{Inputs, ListItem, Outputs, PortType};

// The macros name this crate by its path; here that is the crate itself.
extern crate self as sightflow_block;
