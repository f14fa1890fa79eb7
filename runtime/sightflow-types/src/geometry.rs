//! Overlap of boxes and the ways to merge overlapping detections.
