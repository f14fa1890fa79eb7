//! The images of one run. Values name them by number; an image lives as long as a value that names it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde_json::Value;
use sightflow_images::Image;
use sightflow_types::ImageRef;
use sightflow_types::error::RunError;

use super::{Access, Origin, Purpose, Recipe, handle};

/// Finds the images of one run by their numbers.
#[derive(Debug, Default)]
pub(crate) struct ImageTable(Mutex<Vec<Weak<Picture>>>);

/// One image of a run: in memory, or only known how to get it again.
#[derive(Debug)]
pub(crate) struct Picture {
    handle: usize,
    held: Mutex<Option<Image>>,
    origin: Arc<Origin>,
}

impl ImageTable {
    /// An image from outside or of the engine's own making.
    pub(crate) fn add(&self, image: Image) -> Arc<Picture> {
        self.insert(image, None)
    }

    /// An image that a block made.
    pub(crate) fn add_made(&self, image: Image, recipe: &Arc<Recipe>, ordinal: usize) -> Arc<Picture> {
        self.insert(image, Some((Arc::clone(recipe), ordinal)))
    }

    fn insert(&self, image: Image, made: Option<(Arc<Recipe>, usize)>) -> Arc<Picture> {
        let stored = OnceLock::new();
        if let Some(reference) = image.reference() {
            let _ = stored.set((reference, image.format()));
        }
        let lasting = stored.get().is_none() && made.is_none();
        let origin = Arc::new(Origin { stored, made, pixels: lasting.then(|| image.clone()) });
        let mut all = self.lock();
        let picture = Arc::new(Picture { handle: all.len(), held: Mutex::new(Some(image)), origin });
        all.push(Arc::downgrade(&picture));
        picture
    }

    /// The image of a number, if it lives.
    pub(crate) fn find(&self, handle: usize) -> Option<Arc<Picture>> {
        self.lock().get(handle)?.upgrade()
    }

    /// The image behind a value `{"$image": n}`, if there is such an image.
    pub(crate) fn of(&self, value: &Value) -> Option<Arc<Picture>> {
        self.find(handle(value)?)
    }

    /// Lets go of the bytes and pixels of every image that is a blob anyway: the run is about to wait.
    pub(crate) fn rest(&self) {
        self.release(|origin| origin.stored.get().is_some());
    }

    /// Lets go of everything that can be had again: the run waits for long.
    pub(crate) fn shed(&self) {
        self.release(|origin| origin.stored.get().is_some() || origin.made.is_some());
    }

    fn release(&self, free: impl Fn(&Origin) -> bool) {
        for picture in self.lock().iter().filter_map(Weak::upgrade).filter(|picture| free(&picture.origin)) {
            *picture.held() = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Picture>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Picture {
    /// Its number in the run's table.
    pub(crate) fn handle(&self) -> usize {
        self.handle
    }

    /// How it can be had again.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Whether it is the same image, not only the same picture.
    pub(crate) fn is(&self, image: &Image) -> bool {
        self.held().as_ref().is_some_and(|held| held.is_same(image))
    }

    /// The image; got again, where it was let go.
    pub(crate) async fn open(&self, access: Access<'_>) -> Result<Image, RunError> {
        if let Some(image) = self.held().clone() {
            return Ok(image);
        }
        let image = self.origin.open(access).await?;
        *self.held() = Some(image.clone());
        Ok(image)
    }

    /// The stored reference of the image; one that has none is stored first. From then on only the blob is needed.
    pub(crate) async fn store(&self, access: Access<'_>, purpose: Purpose) -> Result<ImageRef, RunError> {
        if let Some((reference, _)) = self.origin.stored.get() {
            return Ok(reference.clone());
        }
        let image = self.open(access).await?;
        let reference = access.io.store(&image, purpose).await?;
        let _ = self.origin.stored.set((reference.clone(), image.format()));
        *self.held() = None;
        Ok(reference)
    }

    fn held(&self) -> MutexGuard<'_, Option<Image>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
