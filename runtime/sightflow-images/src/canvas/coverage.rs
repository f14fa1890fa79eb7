//! What a layer covers, until it is painted.

use crate::work::{Held, Work};
use crate::{ImageError, Pixels};

/// Columns `start..end` of a row, within the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) y: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Spans that are kept as a list; beyond it a bit for each pixel is smaller.
const LISTED: usize = 1 << 16;

/// Pixels of which each is covered or not, however often.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    spans: Vec<Span>,
    bits: Option<Bits>,
}

/// One bit a pixel, rows of whole words.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    stride: usize,
    _held: Held,
}

impl Coverage {
    pub(crate) fn add(&mut self, work: &Work, surface: &Pixels, span: Span) -> Result<(), ImageError> {
        if let Some(bits) = &mut self.bits {
            work.spend(u64::from((span.end - span.start) / 64) + 2)?;
            bits.set(span);
            return Ok(());
        }
        // Its share of the sorting, too.
        work.spend(16)?;
        self.spans.push(span);
        if self.spans.len() >= LISTED {
            let mut bits = Bits::new(work, surface)?;
            for span in self.spans.drain(..) {
                work.spend(u64::from((span.end - span.start) / 64) + 2)?;
                bits.set(span);
            }
            self.bits = Some(bits);
        }
        Ok(())
    }

    /// Gives each covered pixel once, in order, and is empty afterwards.
    pub(crate) fn drain(
        &mut self,
        work: &Work,
        mut each: impl FnMut(Span) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        if let Some(bits) = self.bits.take() {
            return bits.runs(work, &mut each);
        }
        join(&mut self.spans);
        self.spans.drain(..).try_for_each(each)
    }

    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.bits = None;
    }
}

/// Sorts spans and joins those that touch, so that no pixel is in two.
fn join(spans: &mut Vec<Span>) {
    if !spans.is_sorted() {
        spans.sort_unstable();
    }
    spans.dedup_by(|next, kept| {
        let joins = next.y == kept.y && next.start <= kept.end;
        if joins {
            kept.end = kept.end.max(next.end);
        }
        joins
    });
}

impl Bits {
    fn new(work: &Work, surface: &Pixels) -> Result<Self, ImageError> {
        let stride = surface.width().div_ceil(64) as usize;
        let length = stride * surface.height() as usize;
        let held = work.take(8 * length as u64)?;
        work.spend(length as u64 / 8)?;
        Ok(Self { words: vec![0; length], stride, _held: held })
    }

    fn set(&mut self, span: Span) {
        let row = &mut self.words[span.y as usize * self.stride..][..self.stride];
        let (first, last) = (span.start as usize / 64, (span.end - 1) as usize / 64);
        let from = u64::MAX << (span.start % 64);
        let until = u64::MAX >> (63 - (span.end - 1) % 64);
        if first == last {
            row[first] |= from & until;
            return;
        }
        row[first] |= from;
        row[first + 1..last].fill(u64::MAX);
        row[last] |= until;
    }

    fn runs(&self, work: &Work, each: &mut impl FnMut(Span) -> Result<(), ImageError>) -> Result<(), ImageError> {
        for (row, y) in self.words.chunks_exact(self.stride).zip(0u32..) {
            work.spend(self.stride as u64)?;
            let mut start = None;
            for (word, base) in row.iter().zip((0u32..).step_by(64)) {
                let mut at = 0;
                while at < 64 {
                    // How many equal bits follow.
                    let rest = word >> at;
                    let (covered, run) = match start {
                        None => (false, rest.trailing_zeros().min(64 - at)),
                        Some(_) => (true, rest.trailing_ones().min(64 - at)),
                    };
                    at += run;
                    match start {
                        Some(first) if covered && at < 64 => {
                            work.spend(4)?;
                            each(Span { y, start: first, end: base + at })?;
                            start = None;
                        }
                        None if at < 64 => start = Some(base + at),
                        _ => {}
                    }
                }
            }
            if let Some(first) = start {
                each(Span { y, start: first, end: 64 * self.stride as u32 })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;

    #[test]
    fn a_list_and_bits_say_the_same() {
        let (work, surface) = (Work::default(), Pixels::filled(200, 3, PixelFormat::Gray8, &[0]).unwrap());
        let span = |y, start, end| Span { y, start, end };
        let cases: [&[Span]; 6] = [
            &[],
            &[span(0, 0, 1)],
            &[span(1, 0, 200), span(1, 5, 6)],
            &[span(2, 63, 65), span(0, 64, 128), span(2, 190, 200)],
            &[span(0, 3, 4), span(0, 5, 6), span(0, 4, 5), span(0, 130, 131)],
            &[span(1, 0, 64), span(1, 128, 192), span(2, 127, 129)],
        ];
        for spans in cases {
            let gather = |mut coverage: Coverage| {
                spans.iter().for_each(|span| coverage.add(&work, &surface, *span).unwrap());
                let mut found = Vec::new();
                coverage
                    .drain(&work, |span| {
                        found.push(span);
                        Ok(())
                    })
                    .unwrap();
                found
            };
            let bits = Coverage { bits: Some(Bits::new(&work, &surface).unwrap()), ..Coverage::default() };
            assert_eq!(gather(bits), gather(Coverage::default()), "{spans:?}");
        }
    }
}
