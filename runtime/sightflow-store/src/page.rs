//! Pages of lists, newest first.

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<Id> {
    /// Most items to return; held within 1..=100.
    pub limit: u32,
    /// Continue behind this id (exclusive): the `next` of the page before.
    pub before: Option<Id>,
}

impl<Id> Default for PageRequest<Id> {
    fn default() -> Self {
        Self { limit: 50, before: None }
    }
}

impl<Id> PageRequest<Id> {
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, 100))
    }
}

/// One part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, Id> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page continues; none at the end.
    pub next: Option<Id>,
}

impl<T, Id> Page<T, Id> {
    /// A page out of up to `limit + 1` rows: the surplus row only says that there is more.
    pub(crate) fn cut(mut items: Vec<T>, limit: i64, id: impl Fn(&T) -> Id) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }
}
