//! How a block made an image: a pure block makes the same one again, so that a run that waits need not keep its pixels.

use std::sync::Arc;

use sightflow_images::{Image, ResizeFilter};
use sightflow_types::error::{RunError, code};
use tokio_util::sync::CancellationToken;

use super::Origin;
use super::table::Access;
use crate::host::{BlockRef, CallContext, Payload};

/// A piece of work that gives the same images each time.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// One call of a component.
    Call {
        /// Which block.
        block: BlockRef,
        /// Its configuration as JSON text.
        config: Arc<str>,
        /// Its inputs as a JSON document.
        document: String,
        /// The images that the document names.
        images: Vec<Arc<Origin>>,
    },
    /// An image of the run in another size.
    Resize {
        /// The stored image.
        from: Arc<Origin>,
        /// Columns and rows.
        size: (u32, u32),
    },
}

impl Recipe {
    /// The image of this place among those that the work gives.
    pub(super) async fn make(&self, ordinal: usize, access: Access<'_>) -> Result<Image, RunError> {
        let broken = |reason: String| RunError::new(code::IMAGE, format!("an image cannot be made again: {reason}"));
        match self {
            Self::Call { block, config, document, images } => {
                let mut opened = Vec::with_capacity(images.len());
                for image in images {
                    opened.push(Box::pin(image.open(access)).await?);
                }
                let (host, block, config) = (Arc::clone(access.host), block.clone(), Arc::clone(config));
                let payload = Payload { document: document.clone(), images: opened };
                let cancel = CancellationToken::new();
                let guard = cancel.clone().drop_guard();
                let context = CallContext { node_id: block.name.clone(), cancel, ..CallContext::default() };
                let called = crate::blocking::blocking(move || host.call(&block, &config, payload, context)).await?;
                guard.disarm();
                let outcome = called.map_err(|error| broken(error.to_string()))?;
                outcome
                    .images
                    .into_iter()
                    .nth(ordinal)
                    .ok_or_else(|| broken("the block answers differently".to_owned()))
            }
            Self::Resize { from, size: (width, height) } => {
                let (image, (width, height)) = (Box::pin(from.open(access)).await?, (*width, *height));
                let resized =
                    crate::blocking::blocking(move || image.resize(width, height, ResizeFilter::Lanczos3)).await?;
                resized.map_err(|error| broken(error.to_string()))
            }
        }
    }
}
