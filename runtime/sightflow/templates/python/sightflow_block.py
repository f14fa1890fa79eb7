"""Blocks for Sightflow in Python: a decorator, the errors that a block may raise, and the call in between.

A block is a function of two dictionaries, its inputs and its configuration, and answers a dictionary with one key an
output port. Images are `wit_world.imports.images.Image`, bytes are `bytes`; everything else is what JSON has. It runs
without files, network or time: its answer is a function of what it is given.
"""

import json
import traceback

from componentize_py_types import Err, Ok
from wit_world.exports import blocks as wire
from wit_world.imports import images, log
from wit_world.imports.images import Canvas, Drawing, Image, Ink, Point, Rect, Rectangle, Size, Stroke, Text

__all__ = [
    "BadConfig", "BadInput", "Canvas", "Drawing", "Failed", "Image", "Ink", "Point", "Rect", "Rectangle", "Retry", "Size",
    "Stroke", "Text", "block", "corners", "info", "warn",
]

_BLOCKS = {}
_MANIFESTS = []


class Failed(Exception):
    """The block could not finish. `port` or `key` names what is to blame, where something is."""

    wire = wire.BlockError_Failed

    def __init__(self, message, code=None, **where):
        super().__init__(message)
        self.report = {"code": code or "failed", "message": message, **where} if code or where else message

    def text(self):
        return self.report if isinstance(self.report, str) else json.dumps(self.report)


class BadInput(Failed):
    """The inputs do not fit."""

    wire = wire.BlockError_BadInput


class BadConfig(Failed):
    """The configuration does not fit, after its references were resolved."""

    wire = wire.BlockError_BadConfig


class Retry(Failed):
    """A repetition may help."""

    wire = wire.BlockError_Retry


def block(*, title, description, category, inputs, outputs, config=None, examples=(), **more):
    """Makes a block of a function, with the function's name. `config` are the properties of its configuration."""

    def register(function):
        required = [key for key, schema in (config or {}).items() if "default" not in schema]
        schema = {"type": "object", "properties": config or {}, "additionalProperties": False, "required": required}
        manifest = {
            "name": function.__name__, "title": title, "description": description, "category": category,
            "inputs": inputs, "outputs": outputs, "config": schema, "examples": list(examples), **more,
        }
        _MANIFESTS.append(manifest)
        _BLOCKS[function.__name__] = function
        return function

    return register


def corners(found, port="detections", index=None):
    """The box of a detection as left, top, right, bottom, in parts of the image's size. Boxes come in three forms."""
    box = found.get("bbox")
    if isinstance(box, dict) and "x1" in box:
        box = [box.get(side) for side in ("x1", "y1", "x2", "y2")]
    elif isinstance(box, dict) and all(isinstance(box.get(key), (int, float)) for key in ("x", "y", "width", "height")):
        box = [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, (int, float)) for side in box):
        where = {"port": port} if index is None else {"port": port, "index": index}
        raise BadInput("a detection has no `bbox` of four numbers in parts of the image", code="bad_box", **where)
    return box


def info(message):
    """A line for the log of the execution."""
    log.log(log.Level.INFO, message)


def warn(message):
    """A warning for the log of the execution."""
    log.log(log.Level.WARN, message)


def _take(value, payload):
    """A value of the document with its images and bytes in place."""
    if isinstance(value, dict):
        if len(value) == 1:
            if "$image" in value:
                return payload.images[value["$image"]]
            if "$bytes" in value:
                return payload.buffers[value["$bytes"]]
        return {key: _take(inner, payload) for key, inner in value.items()}
    if isinstance(value, list):
        return [_take(inner, payload) for inner in value]
    return value


def _give(value, payload, given):
    """The opposite. A handle can be given away once, so an image that stands in two places is a view the second time."""
    if isinstance(value, images.Image):
        if id(value) in given:
            size = value.size()
            value = value.crop(Rect(0, 0, size.width, size.height))
        given[id(value)] = value
        payload.images.append(value)
        return {"$image": len(payload.images) - 1}
    if isinstance(value, (bytes, bytearray, memoryview)):
        payload.buffers.append(bytes(value))
        return {"$bytes": len(payload.buffers) - 1}
    if isinstance(value, dict):
        return {key: _give(inner, payload, given) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_give(inner, payload, given) for inner in value]
    return value


def _call(name, config, payload):
    inputs = _take(json.loads(payload.document), payload)
    answer = _BLOCKS[name](inputs, config)
    if not isinstance(answer, dict):
        raise Failed(f"`{name}` answered {type(answer).__name__}, not a dictionary of its outputs")
    given = wire.Payload("", [], [])
    given.document = json.dumps(_give(answer, given, {}), allow_nan=False)
    return given


def _error(error):
    """What an exception is for the host. One that nobody foresaw is a failure with its own words, and its trace in the log."""
    if isinstance(error, Failed):
        return error.wire(error.text())
    if isinstance(error, Err):
        reason = error.value
        return wire.BlockError_Failed(f"{type(reason).__name__}: {getattr(reason, 'value', reason)}")
    log.log(log.Level.ERROR, "".join(traceback.format_exception(error)))
    return wire.BlockError_Failed(f"{type(error).__name__}: {error}")


class Blocks:
    """The component's export `blocks`."""

    def catalog(self):
        return json.dumps(_MANIFESTS)

    def run(self, block, config, inputs):
        try:
            return _call(block, json.loads(config), inputs)
        except Exception as error:
            raise Err(_error(error)) from None


class Batches:
    """The component's export `batches`: an instance of Python is dear, so many calls share one."""

    def run_many(self, block, config, items):
        config, answers = json.loads(config), []
        for item in items:
            try:
                answers.append(Ok(_call(block, config, item)))
            except Exception as error:
                answers.append(Err(_error(error)))
        return answers
