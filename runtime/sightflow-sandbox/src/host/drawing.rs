//! `drawing` of `sightflow:block/images`: shapes are collected here and painted by `canvas.draw`.

use sightflow_images::{self as raster, Drawing, Image};
use wasmtime::component::Resource;

use super::bindings::sightflow::block::images as wit;
use super::operation::Answer;
use super::state::CallState;
use super::stop::Stop;

fn point(point: wit::Point) -> raster::Point {
    raster::Point { x: point.x, y: point.y }
}

pub(super) fn ink(ink: wit::Ink) -> raster::Ink {
    raster::Ink { r: ink.r, g: ink.g, b: ink.b, opacity: ink.opacity }
}

fn stroke(stroke: wit::Stroke) -> raster::Stroke {
    raster::Stroke { ink: ink(stroke.ink), width: stroke.width }
}

impl CallState {
    /// What is collected costs the guest's own time: it is little, and the clocks are looked at while guest code runs.
    fn push(&mut self, drawing: &Resource<Drawing>, op: raster::DrawOp) -> Answer<()> {
        let Self { table, work, .. } = self;
        match table.get_mut(drawing)?.push_in(work, op) {
            Ok(()) => Ok(Ok(())),
            Err(error) => self.failed(error).map(Err),
        }
    }
}

impl wit::HostDrawing for CallState {
    fn new(&mut self) -> wasmtime::Result<Resource<Drawing>> {
        // A constructor has no word for a refusal.
        self.charge_handle().map_err(|kind| wasmtime::Error::new(Stop::Limit(kind)))?;
        Ok(self.table.push(Drawing::default())?)
    }

    fn rectangle(&mut self, drawing: Resource<Drawing>, shape: wit::Rectangle) -> Answer<()> {
        let op = raster::Rectangle {
            from: point(shape.start),
            to: point(shape.end),
            corner_radius: shape.corner_radius,
            fill: shape.fill.map(ink),
            stroke: shape.stroke.map(stroke),
        };
        self.push(&drawing, raster::DrawOp::Rectangle(op))
    }

    fn path(&mut self, drawing: Resource<Drawing>, shape: wit::Path) -> Answer<()> {
        let op = raster::Path {
            points: shape.points.into_iter().map(point).collect(),
            closed: shape.closed,
            fill: shape.fill.map(ink),
            stroke: shape.stroke.map(stroke),
        };
        self.push(&drawing, raster::DrawOp::Path(op))
    }

    fn ellipse(&mut self, drawing: Resource<Drawing>, shape: wit::Ellipse) -> Answer<()> {
        let op = raster::Ellipse {
            center: point(shape.center),
            radius_x: shape.radius_x,
            radius_y: shape.radius_y,
            start_angle: shape.start_angle,
            end_angle: shape.end_angle,
            fill: shape.fill.map(ink),
            stroke: shape.stroke.map(stroke),
        };
        self.push(&drawing, raster::DrawOp::Ellipse(op))
    }

    fn text(&mut self, drawing: Resource<Drawing>, shape: wit::Text) -> Answer<()> {
        let background =
            |back: wit::TextBackground| raster::TextBackground { ink: ink(back.ink), padding: back.padding };
        let op = raster::Text {
            content: shape.content,
            at: point(shape.at),
            height: shape.height,
            ink: ink(shape.ink),
            background: shape.background.map(background),
        };
        self.push(&drawing, raster::DrawOp::Text(op))
    }

    fn mask(&mut self, drawing: Resource<Drawing>, shape: wit::Mask) -> Answer<()> {
        let op = raster::Mask {
            counts: shape.counts,
            area: shape.area.into(),
            order: match shape.order {
                wit::MaskOrder::RowMajor => raster::MaskOrder::RowMajor,
                wit::MaskOrder::ColumnMajor => raster::MaskOrder::ColumnMajor,
            },
            ink: ink(shape.ink),
        };
        self.push(&drawing, raster::DrawOp::Mask(op))
    }

    fn paste(
        &mut self,
        drawing: Resource<Drawing>,
        source: Resource<Image>,
        at: wit::Point,
        opacity: f32,
    ) -> Answer<()> {
        let source = self.table.get(&source)?.clone();
        self.push(&drawing, raster::DrawOp::Image(raster::Pasted { source, at: point(at), opacity }))
    }

    fn outside(&mut self, drawing: Resource<Drawing>, areas: Vec<wit::Rect>, colour: wit::Ink) -> Answer<()> {
        let areas = areas.into_iter().map(Into::into).collect();
        self.push(&drawing, raster::DrawOp::Outside(raster::Outside { areas, ink: ink(colour) }))
    }

    fn drop(&mut self, drawing: Resource<Drawing>) -> wasmtime::Result<()> {
        self.table.delete(drawing)?;
        self.release_handle();
        Ok(())
    }
}
