"""The blocks of the package `acme/reading-order`."""

from sightflow_block import block, corners


@block(
    title="Reading order",
    description="Sorts detections as one reads: line by line from the top, and within a line from left to right. "
    "Joins their class names into a text, which is what is wanted where the classes are characters or words.",
    category="logic",
    inputs=[{"name": "detections", "kind": "detections", "required": True, "description": "What was found, in any order."}],
    outputs=[
        {"name": "detections", "kind": "detections", "required": True, "description": "The same in reading order, each with its `line`."},
        {"name": "lines", "kind": "array", "required": True, "description": "The text of each line."},
    ],
    config={
        "overlap": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.5,
            "description": "Which part of the lower one's height two boxes share, at least, that stand in one line.",
        },
        "separator": {"type": "string", "default": " ", "description": "Stands between the names of a line."},
    },
    examples=[
        {
            "inputs": {
                "detections": [
                    {"bbox": [0.5, 0.11, 0.6, 0.21], "class_name": "world"},
                    {"bbox": [0.1, 0.5, 0.2, 0.6], "class_name": "again"},
                    {"bbox": [0.1, 0.1, 0.2, 0.2], "class_name": "hello"},
                ]
            },
            "outputs": {"lines": ["hello world", "again"]},
        },
        {"inputs": {"detections": []}, "outputs": {"detections": [], "lines": []}},
    ],
)
def reading_order(inputs, config):
    lines = []
    for found in sorted(inputs["detections"], key=lambda found: corners(found)[1]):
        line = next((line for line in lines if shared(line[-1], found) >= config["overlap"]), None)
        if line is None:
            lines.append([found])
        else:
            line.append(found)
    for line in lines:
        line.sort(key=lambda found: corners(found)[0])
    ordered = [{**found, "line": number} for number, line in enumerate(lines) for found in line]
    texts = [config["separator"].join(str(found.get("class_name", "")) for found in line) for line in lines]
    return {"detections": ordered, "lines": texts}


def shared(upper, lower):
    """The part of the lower one's height that both have."""
    (_, top, _, bottom), (_, other_top, _, other_bottom) = corners(upper), corners(lower)
    height = min(bottom - top, other_bottom - other_top)
    return (min(bottom, other_bottom) - max(top, other_top)) / height if height > 0 else 0.0
