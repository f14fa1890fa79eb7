use sightflow_images::{Canvas, DrawOp, Ellipse, Image, Ink, Path, PixelFormat, Point, Rectangle, Stroke};

use crate::{at, filled};

pub(crate) const RED: Ink = Ink::opaque(255, 0, 0);

pub(crate) const fn p(x: i32, y: i32) -> Point {
    Point { x, y }
}

pub(crate) fn rectangle(from: (i32, i32), to: (i32, i32), fill: Option<Ink>, width: Option<u32>) -> Rectangle {
    let stroke = width.map(|width| Stroke { ink: RED, width });
    Rectangle { from: p(from.0, from.1), to: p(to.0, to.1), corner_radius: 0, fill, stroke }
}

pub(crate) fn path(points: &[(i32, i32)], closed: bool, fill: Option<Ink>, width: Option<u32>) -> Path {
    let stroke = width.map(|width| Stroke { ink: RED, width });
    Path { points: points.iter().map(|&(x, y)| p(x, y)).collect(), closed, fill, stroke }
}

pub(crate) fn draw(base: &Image, ops: &[DrawOp]) -> Image {
    let mut canvas = Canvas::over(base).unwrap();
    canvas.draw(ops).unwrap();
    canvas.finish()
}

/// What is drawn on black, as text: `#` where it is red.
pub(crate) fn sketch(width: u32, height: u32, op: DrawOp) -> Vec<String> {
    let image = draw(&filled(width, height, [0, 0, 0]), &[op]);
    let row = |y| (0..width).map(|x| if at(&image, x, y)[0] == 255 { '#' } else { '.' }).collect();
    (0..height).map(row).collect()
}

#[track_caller]
fn check(op: DrawOp, expected: &[&str]) {
    let found = sketch(expected[0].len() as u32, expected.len() as u32, op);
    assert_eq!(found, expected, "\n{}", found.join("\n"));
}

#[test]
fn the_box_of_the_specification() {
    let op = DrawOp::Rectangle(rectangle((10, 10), (40, 40), None, Some(2)));
    let image = draw(&filled(100, 100, [0, 0, 0]), &[op]);
    let painted: Vec<u32> = (0..100).filter(|&x| at(&image, x, 25) == [255, 0, 0]).collect();
    assert_eq!(painted, [9, 10, 11, 39, 40, 41]);
    assert_eq!(at(&image, 25, 25), [0, 0, 0]);
}

#[test]
fn rectangles() {
    check(
        DrawOp::Rectangle(rectangle((4, 3), (1, 1), None, Some(1))),
        &["......", ".####.", ".#..#.", ".####.", "......"],
    );
    check(DrawOp::Rectangle(rectangle((1, 1), (3, 2), Some(RED), None)), &[".....", ".###.", ".###.", "....."]);
    check(DrawOp::Rectangle(rectangle((2, 1), (2, 1), None, Some(2))), &[".###.", ".###.", ".###."]);
    check(DrawOp::Rectangle(rectangle((-5, 1), (2, 90), Some(RED), None)), &[".....", "###..", "###.."]);
    check(DrawOp::Rectangle(rectangle((6, 1), (9, 2), Some(RED), Some(1))), &[".....", "....."]);
    let rounded = Rectangle { corner_radius: 3, ..rectangle((0, 0), (8, 6), Some(RED), None) };
    check(
        DrawOp::Rectangle(rounded.clone()),
        &["..#####..", ".#######.", "#########", "#########", "#########", ".#######.", "..#####.."],
    );
    let edge = Rectangle { fill: None, stroke: Some(Stroke { ink: RED, width: 1 }), ..rounded };
    check(
        DrawOp::Rectangle(edge),
        &["..#####..", ".#.....#.", "#.......#", "#.......#", "#.......#", ".#.....#.", "..#####.."],
    );
}

#[test]
fn lines_are_8_connected() {
    check(DrawOp::Path(path(&[(0, 0), (6, 3)], false, None, Some(1))), &["#......", ".##....", "...##..", ".....##"]);
    check(DrawOp::Path(path(&[(3, 4), (0, 0)], false, None, Some(0))), &["#...", ".#..", "..#.", "..#.", "...#"]);
    check(DrawOp::Path(path(&[(1, 1)], false, None, Some(1))), &["...", ".#.", "..."]);
    check(DrawOp::Path(path(&[], true, Some(RED), Some(1))), &["..."]);
    check(DrawOp::Path(path(&[(2, 1), (4, 1)], false, None, Some(2))), &[".#####.", ".#####.", ".#####."]);
    check(
        DrawOp::Path(path(&[(1, 1), (5, 1), (5, 3)], true, None, Some(1))),
        &[".......", ".#####.", "..##.#.", "....##."],
    );
}

#[test]
fn a_line_of_any_direction_has_one_pixel_a_step() {
    for (x, y) in [(0, 0), (40, 3), (40, 40), (3, 40), (20, 0), (0, 17), (39, 20)] {
        let op = DrawOp::Path(path(&[(20, 20), (x, y)], false, None, Some(1)));
        let painted: usize = sketch(41, 41, op).iter().map(|row| row.matches('#').count()).sum();
        assert_eq!(painted as i32, (x - 20i32).abs().max((y - 20i32).abs()) + 1, "to ({x}, {y})");
    }
}

#[test]
fn where_the_surface_ends_does_not_change_a_line() {
    let points = [(-37, -11), (55, 29), (-3, 70)];
    for width in [1, 2, 7] {
        let whole =
            sketch(200, 200, DrawOp::Path(path(&points.map(|(x, y)| (x + 80, y + 80)), true, Some(RED), Some(width))));
        let part = sketch(40, 40, DrawOp::Path(path(&points, true, Some(RED), Some(width))));
        for (y, row) in part.iter().enumerate() {
            assert_eq!(*row, whole[y + 80][80..120], "width {width}, row {y}");
        }
    }
}

#[test]
fn polygons_are_filled_with_their_edge() {
    check(
        DrawOp::Path(path(&[(0, 0), (6, 0), (3, 3)], true, Some(RED), None)),
        &["#######", ".#####.", "..###..", "...#...", "......."],
    );
    // A frame around a hole: even-odd.
    check(
        DrawOp::Path(path(
            &[(0, 0), (6, 0), (6, 6), (0, 6), (0, 0), (2, 2), (2, 4), (4, 4), (4, 2), (2, 2)],
            true,
            Some(RED),
            None,
        )),
        &["#######", "#######", "#######", "###.###", "#######", "#######", "#######"],
    );
}

pub(crate) fn ellipse(center: (i32, i32), radii: (u32, u32), angles: (f32, f32)) -> Ellipse {
    Ellipse {
        center: p(center.0, center.1),
        radius_x: radii.0,
        radius_y: radii.1,
        start_angle: angles.0,
        end_angle: angles.1,
        fill: None,
        stroke: Some(Stroke { ink: RED, width: 1 }),
    }
}

#[test]
fn ellipses() {
    let filled = |radii| Ellipse { fill: Some(RED), stroke: None, ..ellipse((3, 3), radii, (0.0, 360.0)) };
    check(
        DrawOp::Ellipse(filled((3, 3))),
        &["..###..", ".#####.", "#######", "#######", "#######", ".#####.", "..###.."],
    );
    check(DrawOp::Ellipse(filled((0, 0))), &[".......", ".......", ".......", "...#..."]);
    check(
        DrawOp::Ellipse(ellipse((3, 3), (3, 3), (0.0, 360.0))),
        &["..###..", ".#...#.", "#.....#", "#.....#", "#.....#", ".#...#.", "..###.."],
    );
    // Clockwise as seen from the positive x axis: 0..180 is the lower half.
    check(DrawOp::Ellipse(ellipse((3, 0), (3, 3), (0.0, 180.0))), &["#.....#", "#.....#", ".#...#.", "..###.."]);
    // An end below the start goes on through 360: from below to the right.
    let quarter = sketch(7, 7, DrawOp::Ellipse(ellipse((3, 3), (3, 3), (270.0, 0.0))));
    assert_eq!((&quarter[0][3..4], &quarter[3][6..7], &quarter[6][3..4]), ("#", "#", "."));
    let sector = Ellipse { fill: Some(RED), stroke: None, ..ellipse((0, 0), (4, 4), (0.0, 90.0)) };
    check(DrawOp::Ellipse(sector), &["#####", "#####", "#####", "####.", "###.."]);
}

#[test]
fn a_flat_ellipse_has_no_gaps() {
    for (radius_x, radius_y) in [(100, 1), (1, 60), (90, 17), (33, 33)] {
        let rows = sketch(220, 140, DrawOp::Ellipse(ellipse((110, 70), (radius_x, radius_y), (0.0, 360.0))));
        let painted: Vec<(i32, i32)> = (0..140)
            .flat_map(|y| (0..220).map(move |x| (x, y)))
            .filter(|&(x, y)| rows[y as usize].as_bytes()[x as usize] == b'#')
            .collect();
        let mut reached = vec![painted[0]];
        let mut next = 0;
        while let Some(&(x, y)) = reached.get(next) {
            for &(a, b) in &painted {
                if (a - x).abs() <= 1 && (b - y).abs() <= 1 && !reached.contains(&(a, b)) {
                    reached.push((a, b));
                }
            }
            next += 1;
        }
        assert_eq!(reached.len(), painted.len(), "{radius_x}×{radius_y} is in pieces");
    }
}

#[test]
fn every_pixel_format_can_be_drawn_on() {
    for (format, expected) in [
        (PixelFormat::Gray8, vec![124]),
        (PixelFormat::Rgb8, vec![200, 100, 50]),
        (PixelFormat::Rgba8, vec![200, 100, 50, 255]),
    ] {
        let base = filled(20, 20, [0, 0, 0]).convert(format).unwrap();
        let ink = Ink::opaque(200, 100, 50);
        let image = draw(&base, &[DrawOp::Rectangle(rectangle((1, 1), (19, 3), Some(ink), None))]);
        assert_eq!((at(&image, 18, 2), image.format()), (expected.clone(), format));
        assert_eq!(at(&image, 1, 1), expected);
    }
}
