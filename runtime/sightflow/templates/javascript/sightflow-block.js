// Blocks for Sightflow in JavaScript: how a block is made known, the errors that it may throw, and the call in between.
//
// A block is a function of two objects, its inputs and its configuration, and answers an object with one key an output
// port. Images are `Image` of the interface `images`, bytes are `Uint8Array`; everything else is what JSON has. It runs
// without files, network or time: its answer is a function of what it is given.

import * as images from "sightflow:block/images@0.1.0";
import { log } from "sightflow:block/log@0.1.0";

export { images };

/** The block could not finish. `where` may name the `port` or `key` that is to blame, and a `code`. */
export class Failed extends Error {
  tag = "failed";
  constructor(message, where) {
    super(message);
    this.report = where ? JSON.stringify({ code: "failed", message, ...where }) : message;
  }
}
/** The inputs do not fit. */
export class BadInput extends Failed {
  tag = "bad-input";
}
/** The configuration does not fit, after its references were resolved. */
export class BadConfig extends Failed {
  tag = "bad-config";
}
/** A repetition may help. */
export class Retry extends Failed {
  tag = "retry";
}

const functions = new Map();
const manifests = [];

/** Makes a block of a function, with the function's name. `config` are the properties of its configuration. */
export function block(run, { config = {}, examples = [], ...manifest }) {
  const required = Object.keys(config).filter((key) => !("default" in config[key]));
  const schema = { type: "object", properties: config, additionalProperties: false, required };
  functions.set(run.name, run);
  manifests.push({ name: run.name, ...manifest, config: schema, examples });
}

/** The box of a detection as left, top, right, bottom, in parts of the image's size. Boxes come in three forms. */
export function corners({ bbox }, { port = "detections", index } = {}) {
  let box = bbox;
  if (bbox?.x1 !== undefined) box = [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
  else if (bbox?.width !== undefined) box = [bbox.x, bbox.y, bbox.x + bbox.width, bbox.y + bbox.height];
  if (!Array.isArray(box) || box.length !== 4 || !box.every(Number.isFinite)) {
    throw new BadInput("a detection has no `bbox` of four numbers in parts of the image", { code: "bad_box", port, index });
  }
  return box;
}

/** A line for the log of the execution. */
export const info = (message) => log("info", String(message));
/** A warning for the log of the execution. */
export const warn = (message) => log("warn", String(message));

/** A value of the document with its images and bytes in place. */
function take(value, payload) {
  if (Array.isArray(value)) return value.map((inner) => take(inner, payload));
  if (value === null || typeof value !== "object") return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === "$image") return payload.images[value.$image];
  if (keys.length === 1 && keys[0] === "$bytes") return payload.buffers[value.$bytes];
  return Object.fromEntries(keys.map((key) => [key, take(value[key], payload)]));
}

/** The opposite. A handle can be given away once: an image that stands in two places is a view the second time. */
function give(value, payload) {
  if (value instanceof images.Image) {
    const size = value.size();
    const again = payload.images.includes(value);
    payload.images.push(again ? value.crop({ x: 0, y: 0, width: size.width, height: size.height }) : value);
    return { $image: payload.images.length - 1 };
  }
  if (value instanceof Uint8Array) {
    payload.buffers.push(value);
    return { $bytes: payload.buffers.length - 1 };
  }
  if (Array.isArray(value)) return value.map((inner) => give(inner, payload));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, give(inner, payload)]));
}

/** What an exception is for the host. One that nobody foresaw is a failure with its own words, and its trace in the log. */
function wire(error) {
  if (error instanceof Failed) return { tag: error.tag, val: error.report };
  // What the host answers to a call that it refuses.
  const reason = error?.payload ?? error;
  if (reason?.tag !== undefined) return { tag: "failed", val: `${reason.tag}: ${reason.val}` };
  log("error", `${error}\n${error?.stack ?? ""}`);
  return { tag: "failed", val: String(error) };
}

/** The component's export `blocks`. */
export const blocks = {
  catalog: () => JSON.stringify(manifests),
  run(name, config, inputs) {
    try {
      const answer = functions.get(name)(take(JSON.parse(inputs.document), inputs), JSON.parse(config));
      if (answer === null || typeof answer !== "object") throw new Failed(`\`${name}\` did not answer an object of its outputs`);
      const given = { document: "", images: [], buffers: [] };
      given.document = JSON.stringify(give(answer, given));
      return given;
    } catch (error) {
      throw wire(error);
    }
  },
};
