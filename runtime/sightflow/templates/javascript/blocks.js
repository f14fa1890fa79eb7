// The blocks of the package `acme/retail`.

import { BadInput, block, corners } from "./sightflow-block.js";

block(largest, {
  title: "Largest detection",
  description: "Cuts out the largest detection.",
  category: "transform",
  inputs: [
    { name: "image", kind: "image", required: true, description: "The image that the detections belong to." },
    { name: "detections", kind: "detections", required: true, description: "What was found in it." },
  ],
  outputs: [
    { name: "crop", kind: "image", description: "The part of the image that it covers; null if there is none." },
    { name: "class_name", kind: "string", description: "Its class; null if there is none." },
  ],
  config: {
    min_confidence: {
      type: "number",
      minimum: 0,
      maximum: 1,
      default: 0.5,
      description: "Ignore detections below this confidence.",
    },
  },
  // Calls that anybody can try; each gets a grey picture of 640x480.
  examples: [
    {
      inputs: {
        detections: [
          { bbox: [0, 0, 0.1, 0.1], class_name: "can", confidence: 0.9 },
          { bbox: { x1: 0.5, y1: 0.5, x2: 0.9, y2: 0.9 }, class_name: "bottle", confidence: 0.8 },
          { bbox: [0, 0, 1, 1], class_name: "shelf", confidence: 0.2 },
        ],
      },
      outputs: { class_name: "bottle" },
    },
    { inputs: { detections: [] }, outputs: { crop: null, class_name: null } },
  ],
});

function largest({ image, detections }, { min_confidence }) {
  const found = detections.filter((one) => one.confidence >= min_confidence);
  if (found.length === 0) return { crop: null, class_name: null };
  const largest = found.reduce((best, one) => (area(corners(one)) > area(corners(best)) ? one : best));
  const box = corners(largest);
  if (area(box) <= 0) throw new BadInput("a detection covers nothing", { port: "detections" });
  return { crop: image.crop(pixels(box, image.size())), class_name: largest.class_name };
}

const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);

/** The pixels that a box touches, whose corners are given in parts of the image's size. */
function pixels(box, size) {
  const within = (value, most) => Math.min(Math.max(Math.round(value * most), 0), most);
  const [x, y] = [within(box[0], size.width), within(box[1], size.height)];
  const [right, bottom] = [within(box[2], size.width), within(box[3], size.height)];
  return { x, y, width: Math.max(right - x, 1), height: Math.max(bottom - y, 1) };
}
