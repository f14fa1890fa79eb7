//! The images of one run, by handle: held, stored, or no longer needed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sightflow_images::{Image, PixelFormat};
use sightflow_types::ImageRef;
use sightflow_types::error::{RunError, code};

use super::{ImageIo, Purpose, handle, reopen};

/// The images of one run, by handle.
#[derive(Debug, Default)]
pub(crate) struct ImageTable(Mutex<Vec<Slot>>);

#[derive(Debug, Clone)]
enum Slot {
    /// With its encoded bytes or pixels.
    Held(Image),
    /// As a blob, opened again when somebody looks.
    Stored(ImageRef, PixelFormat),
    /// Its last reader has run.
    Gone,
}

impl ImageTable {
    pub(crate) fn add(&self, image: Image) -> usize {
        let mut slots = self.lock();
        slots.push(Slot::Held(image));
        slots.len() - 1
    }

    /// The image of a handle.
    pub(crate) async fn get(&self, at: usize, io: &dyn ImageIo) -> Result<Image, RunError> {
        match self.slot(at)? {
            Slot::Held(image) => Ok(image),
            Slot::Stored(reference, format) => reopen(io, &reference, format).await,
            Slot::Gone => Err(missing()),
        }
    }

    /// The handle behind a value `{"$image": n}`, if there is such an image.
    pub(crate) fn handle(&self, value: &Value) -> Option<usize> {
        handle(value).filter(|at| matches!(self.slot(*at), Ok(Slot::Held(_) | Slot::Stored(..))))
    }

    /// The stored reference of an image; an image that has none is stored first. From then on only the blob is kept.
    pub(crate) async fn store(&self, at: usize, io: &dyn ImageIo, purpose: Purpose) -> Result<ImageRef, RunError> {
        let image = match self.slot(at)? {
            Slot::Held(image) => image,
            Slot::Stored(reference, _) => return Ok(reference),
            Slot::Gone => return Err(missing()),
        };
        let reference = io.store(&image, purpose).await?;
        if let Some(slot @ Slot::Held(_)) = self.lock().get_mut(at) {
            *slot = Slot::Stored(reference.clone(), image.format());
        }
        Ok(reference)
    }

    /// Lets go of the bytes and pixels of every image that is a blob anyway: the run is about to wait.
    pub(crate) fn rest(&self) {
        for slot in self.lock().iter_mut() {
            if let Slot::Held(image) = slot
                && let Some(reference) = image.reference()
            {
                *slot = Slot::Stored(reference, image.format());
            }
        }
    }

    /// Nobody will ask for these any more.
    pub(crate) fn let_go(&self, handles: impl IntoIterator<Item = usize>) {
        let mut slots = self.lock();
        for at in handles {
            if let Some(slot) = slots.get_mut(at) {
                *slot = Slot::Gone;
            }
        }
    }

    fn slot(&self, at: usize) -> Result<Slot, RunError> {
        self.lock().get(at).cloned().ok_or_else(missing)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing() -> RunError {
    RunError::new(code::BAD_INPUT, "a value names an image that does not exist")
}
