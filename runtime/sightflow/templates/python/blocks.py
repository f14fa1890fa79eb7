"""The blocks of the package `acme/retail`."""

from sightflow_block import BadInput, Rect, block, corners


@block(
    title="Largest detection",
    description="Cuts out the largest detection.",
    category="transform",
    inputs=[
        {"name": "image", "kind": "image", "required": True, "description": "The image that the detections belong to."},
        {"name": "detections", "kind": "detections", "required": True, "description": "What was found in it."},
    ],
    outputs=[
        {"name": "crop", "kind": "image", "description": "The part of the image that it covers; null if there is none."},
        {"name": "class_name", "kind": "string", "description": "Its class; null if there is none."},
    ],
    config={
        "min_confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.5,
            "description": "Ignore detections below this confidence.",
        },
    },
    # Calls that anybody can try; each gets a grey picture of 640x480.
    examples=[
        {
            "inputs": {
                "detections": [
                    {"bbox": [0.0, 0.0, 0.1, 0.1], "class_name": "can", "confidence": 0.9},
                    {"bbox": {"x1": 0.5, "y1": 0.5, "x2": 0.9, "y2": 0.9}, "class_name": "bottle", "confidence": 0.8},
                    {"bbox": [0.0, 0.0, 1.0, 1.0], "class_name": "shelf", "confidence": 0.2},
                ]
            },
            "outputs": {"class_name": "bottle"},
        },
        {"inputs": {"detections": []}, "outputs": {"crop": None, "class_name": None}},
    ],
)
def largest(inputs, config):
    found = [one for one in inputs["detections"] if one["confidence"] >= config["min_confidence"]]
    if not found:
        return {"crop": None, "class_name": None}
    largest = max(found, key=lambda one: area(corners(one)))
    box = corners(largest)
    if area(box) <= 0:
        raise BadInput("a detection covers nothing", port="detections")
    image = inputs["image"]
    return {"crop": image.crop(pixels(box, image.size())), "class_name": largest["class_name"]}


def area(box):
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def pixels(box, size):
    """The pixels that a box touches, whose corners are given in parts of the image's size."""
    left, right = (min(max(round(x * size.width), 0), size.width) for x in (box[0], box[2]))
    top, bottom = (min(max(round(y * size.height), 0), size.height) for y in (box[1], box[3]))
    return Rect(left, top, max(right - left, 1), max(bottom - top, 1))
