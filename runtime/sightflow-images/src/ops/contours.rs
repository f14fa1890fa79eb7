//! Borders of the areas of an image: S. Suzuki and K. Abe, "Topological structural analysis of digitized binary images by
//! border following", 1985; what OpenCV's `findContours` with `CHAIN_APPROX_SIMPLE` finds.

use sightflow_types::image_ops::Retrieval;

use crate::work::{Held, Work};
use crate::{Image, ImageError, PixelFormat, Point};

/// One border: pixels of the area itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contour {
    /// The ends of its straight runs, in order: counter-clockwise as seen around an area, clockwise around a hole.
    pub points: Vec<Point>,
    /// Whether a hole is within; otherwise the area is.
    pub hole: bool,
}

/// What was found, with what it holds of the budget.
#[derive(Debug)]
pub struct Contours {
    /// In the order in which their first pixel comes, row by row.
    pub contours: Vec<Contour>,
    held: Vec<Held>,
}

impl Contours {
    /// The contours; their place in the budget goes to whoever drops it.
    pub fn into_parts(self) -> (Vec<Contour>, impl Send + 'static) {
        (self.contours, self.held)
    }
}

/// Eight neighbours, clockwise as seen, beginning with the right one.
const AROUND: [(isize, isize); 8] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];
const RIGHT: usize = 0;
const LEFT: usize = 4;

/// What a pixel is: not of an area, of one and on no border yet, on a border, on a border that has its right side open.
const EMPTY: i8 = 0;
const INNER: i8 = 1;
const BORDER: i8 = 2;
const OPEN: i8 = -2;

/// Memory for points is taken in pieces.
const PIECE: u64 = 64 << 10;

/// Steps of one point of a border: its neighbours are looked at.
const STEPS: u64 = 16;

impl Image {
    /// Borders of the areas of a gray8 image that are not 0; pixels touch by their sides and corners.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] for another format; those of [`Image::view`] and of `work`.
    pub fn contours_in(&self, work: &Work, retrieval: Retrieval) -> Result<Contours, ImageError> {
        if self.format() != PixelFormat::Gray8 {
            return Err(ImageError::Unsupported(format!("contours need gray8, not {}", self.format().name())));
        }
        let view = self.view_in(work)?;
        // With an empty pixel on each side, so that every pixel has neighbours.
        let width = view.width() as usize + 2;
        let length = width * (view.height() as usize + 2);
        let _held = work.take(length as u64)?;
        let mut labels = vec![EMPTY; length];
        for (row, labels) in view.rows().zip(labels.chunks_exact_mut(width).skip(1)) {
            work.spend(16 + row.len() as u64)?;
            labels[1..].iter_mut().zip(row).for_each(|(label, &value)| *label = i8::from(value != 0));
        }
        let mut tracer = Tracer { work, width, labels, granted: 0, bytes: 0, held: Vec::new() };
        let mut contours = Vec::new();
        for y in 1..=view.height() as usize {
            work.spend(16 + 2 * width as u64)?;
            // The border that was met last on the way.
            let mut last = None;
            for at in y * width + 1..(y + 1) * width - 1 {
                let label = tracer.labels[at];
                if label == EMPTY {
                    continue;
                }
                let outer = label == INNER && tracer.labels[at - 1] == EMPTY;
                let hole = !outer && label >= INNER && tracer.labels[at + 1] == EMPTY;
                let wanted = match retrieval {
                    Retrieval::All => outer || hole,
                    Retrieval::External => outer && last.is_none_or(|last: usize| tracer.labels[last] <= 0),
                };
                if wanted {
                    let points = tracer.follow(at, if hole { RIGHT } else { LEFT })?;
                    tracer.charge(size_of::<Contour>())?;
                    contours.push(Contour { points, hole });
                }
                if !matches!(tracer.labels[at], EMPTY | INNER) {
                    last = Some(at);
                }
            }
        }
        Ok(Contours { contours, held: tracer.held })
    }
}

struct Tracer<'a> {
    work: &'a Work,
    width: usize,
    labels: Vec<i8>,
    granted: u64,
    bytes: u64,
    held: Vec<Held>,
}

impl Tracer<'_> {
    fn step(&self, at: usize, direction: usize) -> usize {
        let (dx, dy) = AROUND[direction];
        at.wrapping_add_signed(dy * self.width as isize + dx)
    }

    fn point(&self, at: usize) -> Point {
        // An image has no side that an i32 cannot count.
        Point { x: (at % self.width) as i32 - 1, y: (at / self.width) as i32 - 1 }
    }

    /// Vectors double as they grow: twice of what they hold.
    fn charge(&mut self, bytes: usize) -> Result<(), ImageError> {
        self.bytes += 2 * bytes as u64;
        if self.bytes > self.granted {
            let piece = PIECE.max(self.granted);
            self.held.push(self.work.take(piece)?);
            self.granted += piece;
        }
        Ok(())
    }

    /// The border that begins at a pixel whose neighbour in direction `empty` is empty.
    fn follow(&mut self, start: usize, empty: usize) -> Result<Vec<Point>, ImageError> {
        let first = (0..8).map(|turn| (empty + turn) % 8).find(|&to| self.labels[self.step(start, to)] != EMPTY);
        let Some(first) = first else {
            self.labels[start] = OPEN;
            self.charge(size_of::<Point>())?;
            return Ok(vec![self.point(start)]);
        };
        let beside = self.step(start, first);
        let mut points = Vec::new();
        // Where the border is, the neighbour that it came from, and the direction in which it went there.
        let (mut at, mut from, mut went) = (start, first, (first + 4) % 8);
        loop {
            self.work.spend(STEPS)?;
            let mut open = false;
            let mut to = from;
            loop {
                to = (to + 7) % 8;
                if self.labels[self.step(at, to)] != EMPTY {
                    break;
                }
                open |= to == RIGHT;
            }
            if open {
                self.labels[at] = OPEN;
            } else if self.labels[at] == INNER {
                self.labels[at] = BORDER;
            }
            if to != went {
                self.charge(size_of::<Point>())?;
                points.push(self.point(at));
            }
            let next = self.step(at, to);
            if next == start && at == beside {
                return Ok(points);
            }
            (at, from, went) = (next, (to + 4) % 8, to);
        }
    }
}
