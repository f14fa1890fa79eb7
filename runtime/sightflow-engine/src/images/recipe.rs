//! How an image can be had again: from where it is stored, or as a pure block made it, so that a run that waits need not keep
//! its pixels.

use std::sync::{Arc, OnceLock};

use sightflow_images::{Image, PixelFormat, ResizeFilter};
use sightflow_types::error::{RunError, code};
use sightflow_types::{ImageRef, TenantId};
use tokio_util::sync::CancellationToken;

use super::{ImageIo, reopen};
use crate::host::{BlockHost, BlockRef, CallContext, Payload};

/// How an image can be had again. At least one way exists, or its pixels stay in memory.
#[derive(Debug)]
pub(crate) struct Origin {
    /// As a blob, in the pixel format that it had.
    pub(super) stored: OnceLock<(ImageRef, PixelFormat)>,
    /// As this image of what a block answers.
    pub(super) made: Option<(Arc<Recipe>, usize)>,
    /// Not at all: the pixels themselves.
    pub(super) pixels: Option<Image>,
}

/// What opening an image takes.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) io: &'a dyn ImageIo,
    pub(crate) host: &'a Arc<dyn BlockHost>,
    pub(crate) tenant: TenantId,
}

impl Origin {
    /// The image, got again.
    pub(crate) async fn open(&self, access: Access<'_>) -> Result<Image, RunError> {
        if let Some((reference, format)) = self.stored.get() {
            return reopen(access.io, reference, *format).await;
        }
        if let Some((recipe, ordinal)) = &self.made {
            return recipe.make(*ordinal, access).await;
        }
        self.pixels.clone().ok_or_else(|| RunError::new(code::INTERNAL, "an image cannot be had again"))
    }
}

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
                let context = CallContext { node_id: block.name.clone(), cancel, ..CallContext::new(access.tenant) };
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
