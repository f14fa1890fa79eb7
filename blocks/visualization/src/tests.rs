//! Every block as the host calls it.

mod draw_boxes;
