//! Pages: a limit, an opaque cursor that is bound to its filters, an optional total.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sightflow_store::{COUNT_CAP, StoreError};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Code};
use crate::schema;

const DEFAULT_LIMIT: u32 = 50;

/// Which page of a list, and whether to count all of it. Stands beside the filters of a list, which each list has by itself.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// 1..100, default 50.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// From `next_cursor`.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
    /// Adds `total`, counted to 10,000.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    pub(crate) total: bool,
}

impl PageQuery {
    /// Checks `limit` (1..100, default 50) and `cursor`, which must have been made with the same `filters`.
    pub(crate) fn window(&self, filters: impl std::fmt::Debug) -> Result<Window, ApiError> {
        Window::new(self.limit, self.cursor.as_deref(), filters)
    }

    /// What `count` answers, if the client wants to know.
    pub(crate) async fn count(
        &self,
        count: impl Future<Output = Result<u64, StoreError>>,
    ) -> Result<Option<u64>, StoreError> {
        if self.total { count.await.map(Some) } else { Ok(None) }
    }
}

/// One page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The page.
    pub(crate) items: Vec<T>,
    /// Pass as `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
    /// How many there are in all, counted to 10,000; only with `total=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
    /// True when counting stopped at 10,000; only with `total=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_capped: Option<bool>,
}

impl<T> Page<T> {
    /// The same page of what `view` makes of its items.
    pub(crate) fn map<U>(self, view: impl Fn(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(view).collect(),
            next_cursor: self.next_cursor,
            total: self.total,
            total_capped: self.total_capped,
        }
    }

    /// Adds the total, as counted up to [`COUNT_CAP`].
    pub(crate) fn with_total(mut self, total: Option<u64>) -> Self {
        self.total = total.map(|total| total.min(COUNT_CAP));
        self.total_capped = total.map(|total| total >= COUNT_CAP);
        self
    }
}

/// Where a page starts and how long it is.
#[derive(Debug)]
pub(crate) struct Window {
    /// Items to answer.
    pub(crate) limit: u32,
    after: Option<Vec<u8>>,
    filters: [u8; 8],
}

impl Window {
    fn new(limit: Option<u32>, cursor: Option<&str>, filters: impl std::fmt::Debug) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=100).contains(&limit) {
            return Err(ApiError::field("?limit", format!("`limit` is {limit}; it must be 1 to 100")));
        }
        let hash = Sha256::digest(format!("{filters:?}"));
        let mut window = Self { limit, after: None, filters: [0; 8] };
        window.filters.copy_from_slice(&hash[..8]);
        if let Some(text) = cursor {
            window.after = Some(window.decode(text)?);
        }
        Ok(window)
    }

    /// The id after which the page starts.
    pub(crate) fn after_id(&self) -> Result<Option<Uuid>, ApiError> {
        self.after.as_deref().map(|bytes| Uuid::from_slice(bytes).map_err(|_| broken())).transpose()
    }

    /// The number after which the page starts, for lists that are ordered by number.
    pub(crate) fn after_number(&self) -> Result<Option<u32>, ApiError> {
        self.after
            .as_deref()
            .map(|bytes| <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes).map_err(|_| broken()))
            .transpose()
    }

    /// The name after which the page starts, for lists that are ordered by name.
    pub(crate) fn after_name(&self) -> Result<Option<&str>, ApiError> {
        self.after.as_deref().map(|bytes| std::str::from_utf8(bytes).map_err(|_| broken())).transpose()
    }

    /// The page of a list that is here as a whole, sorted; `follows` says whether an item comes after a key.
    pub(crate) fn slice<T, K: AsRef<[u8]>>(
        &self,
        all: Vec<T>,
        key: impl Fn(&T) -> K,
        follows: impl Fn(&T, &[u8]) -> bool,
        total: bool,
    ) -> Page<T> {
        let count = all.len() as u64;
        let mut rest = all.into_iter().filter(|item| self.after.as_deref().is_none_or(|after| follows(item, after)));
        let items: Vec<T> = rest.by_ref().take(self.limit as usize).collect();
        let next = items.last().filter(|_| rest.next().is_some()).map(key);
        self.page(items, next, |item| item).with_total(total.then_some(count))
    }

    /// The page that the store cut, with the cursor for what comes after `next`.
    pub(crate) fn page<T, U>(&self, items: Vec<T>, next: Option<impl AsRef<[u8]>>, view: impl Fn(T) -> U) -> Page<U> {
        let next_cursor = next.map(|key| self.encode(key.as_ref()));
        Page { items: items.into_iter().map(view).collect(), next_cursor, total: None, total_capped: None }
    }

    fn encode(&self, key: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([self.filters.as_slice(), key].concat())
    }

    fn decode(&self, text: &str) -> Result<Vec<u8>, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
        match bytes.split_at_checked(self.filters.len()) {
            Some((filters, key)) if filters == self.filters => Ok(key.to_vec()),
            Some(_) => Err(ApiError::new(
                Code::InvalidCursor,
                "the cursor was made with other filters; start again without it",
            )),
            None => Err(broken()),
        }
    }
}

fn broken() -> ApiError {
    ApiError::new(Code::InvalidCursor, "the cursor is not one that this server made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_works_with_its_own_filters_only() {
        let (first, second) = (Uuid::from_u128(3), Uuid::from_u128(2));
        let window = Window::new(Some(2), None, ("search", 1)).unwrap();
        let page = window.page(vec![first, second], Some(second), |id| id);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(Window::new(None, Some(&cursor), ("search", 1)).unwrap().after_id().unwrap(), Some(second));
        for (cursor, filters) in
            [(cursor.as_str(), ("search", 2)), ("", ("search", 1)), ("!!", ("search", 1)), ("AAAA", ("search", 1))]
        {
            assert_eq!(Window::new(None, Some(cursor), filters).unwrap_err().code, Code::InvalidCursor, "{cursor}");
        }
        assert!(window.page(vec![first], None::<Uuid>, |id| id).next_cursor.is_none());
    }

    #[test]
    fn limits() {
        for (limit, ok) in [(0, false), (1, true), (100, true), (101, false)] {
            assert_eq!(Window::new(Some(limit), None, ()).is_ok(), ok, "{limit}");
        }
    }
}
