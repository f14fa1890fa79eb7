//! Shapes that are collected first and painted later.

use crate::work::{Held, Work};
use crate::{DrawOp, ImageError};

/// Memory is taken in pieces: at least so many bytes, and as many as the drawing has already.
const PIECE: u64 = 16 << 10;

/// Operations in the order in which they will be painted. Their memory is on the account of whoever collects them.
#[derive(Debug, Default)]
pub struct Drawing {
    ops: Vec<DrawOp>,
    bytes: u64,
    granted: u64,
    held: Vec<Held>,
}

impl Drawing {
    /// One operation more.
    ///
    /// # Errors
    /// Those of `work`, when there is no room for it.
    pub fn push_in(&mut self, work: &Work, op: DrawOp) -> Result<(), ImageError> {
        let bytes = self.bytes + bytes(&op);
        if bytes > self.granted {
            let piece = (bytes - self.granted).max(self.granted).max(PIECE);
            self.held.push(work.take(piece)?);
            self.granted += piece;
        }
        self.bytes = bytes;
        self.ops.push(op);
        Ok(())
    }

    /// The operations, in order.
    #[must_use]
    pub fn ops(&self) -> &[DrawOp] {
        &self.ops
    }
}

/// Bytes that an operation keeps.
fn bytes(op: &DrawOp) -> u64 {
    let behind = match op {
        DrawOp::Path(path) => size_of_val(&path.points[..]),
        DrawOp::Text(text) => text.content.len(),
        DrawOp::Mask(mask) => size_of_val(&mask.counts[..]),
        DrawOp::Outside(outside) => size_of_val(&outside.areas[..]),
        // A pasted image is held by its handle's account.
        DrawOp::Rectangle(_) | DrawOp::Ellipse(_) | DrawOp::Image(_) => 0,
    };
    (size_of::<DrawOp>() + behind) as u64
}

#[cfg(test)]
mod tests {
    use sightflow_memory::MemoryPool;

    use super::*;
    use crate::{Allowance, Ink, Path, Point};

    #[test]
    fn what_is_collected_is_on_the_account() {
        let pool = MemoryPool::new(10 << 20);
        let work = Work::new(pool.clone()).most_bytes(1 << 20);
        let path = |points: usize| {
            let ink = Some(Ink::opaque(0, 0, 0));
            DrawOp::Path(Path { points: vec![Point::default(); points], closed: false, fill: ink, stroke: None })
        };
        let mut drawing = Drawing::default();
        drawing.push_in(&work, path(1)).expect("room");
        assert_eq!(pool.used(), PIECE);
        drawing.push_in(&work, path(10_000)).expect("room");
        assert!((80_000..200_000).contains(&pool.used()), "{}", pool.used());
        let refused = drawing.push_in(&work, path(1_000_000)).expect_err("8 MB of 1");
        assert!(matches!(refused, ImageError::Allowance(Allowance::Bytes)), "{refused}");
        assert_eq!(drawing.ops().len(), 2);
        drop(drawing);
        assert_eq!(pool.used(), 0);
    }
}
