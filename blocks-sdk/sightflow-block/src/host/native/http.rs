//! HTTP in native tests: whoever tests says what is answered.

use std::cell::RefCell;

use crate::http::{HttpError, Request, Response};

/// Answers requests.
pub(crate) type Answers = Box<dyn FnMut(Request) -> Result<Response, HttpError>>;

thread_local! {
    static ANSWERS: RefCell<Option<Answers>> = const { RefCell::new(None) };
}

/// From now on requests of this thread are answered like this.
pub(crate) fn answer(answers: Answers) {
    ANSWERS.with(|current| *current.borrow_mut() = Some(answers));
}

pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    ANSWERS.with(|current| match current.borrow_mut().as_mut() {
        Some(answers) => answers(request),
        None => Err(HttpError::Refused("a native test says with `testing::answer_http` what is answered".to_owned())),
    })
}
