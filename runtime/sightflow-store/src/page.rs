//! Pages of lists, newest first.

/// Counting a list stops here.
pub const COUNT_CAP: u64 = 10_000;

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
    /// One more than wanted: the surplus row says that there is more.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, 100)) + 1
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
    /// A page out of up to `rows` rows; `read` gives none for a row that cannot even be named.
    pub(crate) fn cut<R>(
        mut found: Vec<R>,
        rows: i64,
        read: impl FnMut(R) -> Option<T>,
        id: impl Fn(&T) -> Id,
    ) -> Self {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let more = found.len() >= rows;
        found.truncate(rows.saturating_sub(1));
        let items: Vec<T> = found.into_iter().filter_map(read).collect();
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }
}
