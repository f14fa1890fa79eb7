// The blocks of the package `acme/zones`.

import { block, corners } from "./sightflow-block.js";

block(count_in_zones, {
  title: "Count in zones",
  description: "Counts the detections whose foot, the middle of the box's lower edge, stands in each of some polygons.",
  category: "logic",
  inputs: [{ name: "detections", kind: "detections", required: true, description: "What was found." }],
  outputs: [
    { name: "counts", kind: "object", required: true, description: "How many there are in each zone, by its name." },
    { name: "outside", kind: "number", required: true, description: "How many stand in no zone." },
  ],
  config: {
    zones: {
      type: "object",
      description: "Polygons by name: at least three corners `[x, y]` in parts of the image's size.",
      minProperties: 1,
      additionalProperties: {
        type: "array",
        minItems: 3,
        items: { type: "array", minItems: 2, maxItems: 2, items: { type: "number", minimum: 0, maximum: 1 } },
      },
    },
    classes: { type: "array", items: { type: "string" }, default: [], description: "Only these classes; none: all." },
  },
  examples: [
    {
      inputs: {
        detections: [
          { bbox: [0.1, 0.1, 0.2, 0.4], class_name: "person" },
          { bbox: [0.7, 0.1, 0.8, 0.4], class_name: "person" },
          { bbox: [0.1, 0.5, 0.2, 0.9], class_name: "dog" },
        ],
      },
      config: { zones: { left: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }, classes: ["person"] },
      outputs: { counts: { left: 1 }, outside: 1 },
    },
    {
      inputs: { detections: [] },
      config: { zones: { a: [[0, 0], [1, 0], [0, 1]] } },
      outputs: { counts: { a: 0 }, outside: 0 },
    },
  ],
});

function count_in_zones({ detections }, { zones, classes }) {
  const counts = Object.fromEntries(Object.keys(zones).map((name) => [name, 0]));
  let outside = 0;
  for (const [index, found] of detections.entries()) {
    if (classes.length > 0 && !classes.includes(found.class_name)) continue;
    const foot = footOf(found, index);
    const inside = Object.keys(zones).filter((name) => contains(zones[name], foot));
    for (const name of inside) counts[name] += 1;
    if (inside.length === 0) outside += 1;
  }
  return { counts, outside };
}

/** The middle of the lower edge. */
function footOf(found, index) {
  const [left, , right, bottom] = corners(found, { index });
  return [(left + right) / 2, bottom];
}

/** Whether a ray to the right crosses the polygon's edges an odd number of times. */
function contains(polygon, [x, y]) {
  let inside = false;
  polygon.forEach(([x1, y1], at) => {
    const [x2, y2] = polygon[(at + 1) % polygon.length];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
