//! One host image operation: asked whether there is time, metered, its failure told to the guest or ending the call.

use sightflow_images::{Allowance, Image, ImageError};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::images as wit;
use super::state::CallState;
use super::stop::Stop;
use crate::error::LimitKind;

/// What a guest gets: a value or an error that it may handle. The outer error ends the call.
pub(super) type Answer<T> = wasmtime::Result<Result<T, wit::ImageError>>;

impl From<LimitKind> for wit::ImageError {
    fn from(kind: LimitKind) -> Self {
        Self::Budget(format!("the call's allowance is used up: {kind}"))
    }
}

impl CallState {
    /// Runs host work in the name of the guest. Its processor time is the host's, bounded by a limit of its own.
    pub(super) fn operate<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> wasmtime::Result<Result<T, ImageError>>,
    ) -> Answer<T> {
        // What the guest read before it has copied by now.
        self.lent = None;
        self.clock.check().map_err(wasmtime::Error::new)?;
        self.clock.begin_operation();
        let answer = work(self);
        self.clock.end_operation();
        match answer? {
            Ok(value) => {
                self.granted();
                Ok(Ok(value))
            }
            Err(error) => self.failed(error).map(Err),
        }
    }

    /// As [`CallState::operate`], for what makes a handle. Its place is taken before the work is done.
    pub(super) fn make<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Self) -> wasmtime::Result<Result<T, ImageError>>,
    ) -> Answer<Resource<T>> {
        if let Err(kind) = self.charge_handle() {
            return Ok(Err(kind.into()));
        }
        match self.operate(work)? {
            Ok(value) => Ok(Ok(self.table.push(value)?)),
            Err(error) => {
                self.unmade_handle();
                Ok(Err(error))
            }
        }
    }

    /// As [`CallState::make`], from one image to another.
    pub(super) fn derive(
        &mut self,
        image: &Resource<Image>,
        work: impl FnOnce(&Image, &sightflow_images::Work) -> Result<Image, ImageError>,
    ) -> Answer<Resource<Image>> {
        let image = self.table.get(image)?.clone();
        self.make(|state| Ok(work(&image, &state.work)))
    }

    /// What the guest is told of a failure, if it may go on.
    pub(super) fn failed(&mut self, error: ImageError) -> wasmtime::Result<wit::ImageError> {
        Ok(match error {
            ImageError::OutOfBounds(text) => wit::ImageError::OutOfBounds(text),
            error @ ImageError::TooLarge { .. } => wit::ImageError::TooLarge(error.to_string()),
            ImageError::Undecodable(text) => wit::ImageError::Undecodable(text),
            ImageError::Invalid(text) => wit::ImageError::Invalid(text),
            ImageError::Unsupported(text) => wit::ImageError::Unsupported(text),
            ImageError::Allowance(allowance) => {
                let kind = match allowance {
                    Allowance::Steps => LimitKind::HostSteps,
                    Allowance::Bytes => LimitKind::ImageBytes,
                };
                self.refuse(kind);
                kind.into()
            }
            ImageError::OutOfBudget(full) => return Err(wasmtime::Error::new(Stop::NoMemory(full))),
            // The clock says why; it cannot be of another mind now.
            ImageError::Stopped => {
                return Err(wasmtime::Error::new(self.clock.check().err().unwrap_or(Stop::Wall)));
            }
        })
    }
}
