#!/usr/bin/env python3
"""Writes the two models that CA4 is shown and measured with, as ONNX files.

  make_model.py lite0 WEIGHTS.pth OUT.onnx    EfficientNet-Lite0 with its ImageNet weights
  make_model.py resnet50 OUT.onnx             ResNet50's graph with seeded random weights, for speed only
  make_model.py check LITE0.onnx PHOTOS/      does it see what a person sees? exit 1 when not

Both have a batch axis of any length, inputs of 224x224 and the outputs `embedding` (features after global pooling) and
`logits`. What a picture must go through first is in the file's metadata (ca4.mean, ca4.std, ca4.resize, ca4.crop), so that
the program needs no setting for it.
"""
import collections
import pathlib
import pickle
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Operator set 17 and IR 8 are read by every ONNX Runtime since 1.12 (2022).
OPSET, IR_VERSION = 17, 8
SIDE = 224


# --- The weights: PyTorch's file format before 1.6, read without PyTorch -------------------------------------------------------


class _Reader(pickle.Unpickler):
    """Allows only what a dictionary of tensors is made of; anything else in the pickle is refused, not run."""

    def __init__(self, file, views):
        super().__init__(file)
        self._views = views

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) in (("torch", "FloatStorage"), ("torch", "LongStorage")):
            return {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}[name]
        raise pickle.UnpicklingError(f"not expected in a file of weights: {module}.{name}")

    def persistent_load(self, pid):
        _, dtype, key, _location, count, _view = pid
        return self._views.setdefault(key, {"dtype": dtype, "count": count, "data": None})

    @staticmethod
    def _tensor(storage, offset, size, stride, *_):
        return storage, offset, size, stride


def read_weights(path):
    """{name: array}. The file is: magic, protocol, sizes, the dictionary, the storages' keys (a pickle each), then for each
    key a little-endian int64 count and the values."""
    with open(path, "rb") as file:
        views = {}
        magic, _protocol, system, tensors, keys = (_Reader(file, views).load() for _ in range(5))
        if magic != 0x1950A86A20F9469CFC6C or not system["little_endian"]:
            raise SystemExit(f"{path}: not a PyTorch file of the old format")
        for key in keys:
            (count,) = np.frombuffer(file.read(8), "<i8")
            view = views[key]
            if count != view["count"]:
                raise SystemExit(f"{path}: storage {key} has {count} values, {view['count']} announced")
            view["data"] = np.frombuffer(file.read(count * view["dtype"].itemsize), view["dtype"])
    return {name: np.array(np.lib.stride_tricks.as_strided(
                s["data"][offset:], size, [n * s["dtype"].itemsize for n in stride]))
            for name, (s, offset, size, stride) in tensors.items()}


# --- The graphs ----------------------------------------------------------------------------------------------------------------


class Graph:
    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x, name, weight, bias, stride, pads, groups=1):
        inputs = [x, self.constant(name + ".weight", weight.astype(np.float32)),
                  self.constant(name + ".bias", bias.astype(np.float32))]
        return self.add("Conv", inputs, name, kernel_shape=weight.shape[2:], strides=[stride, stride], pads=pads,
                        group=groups)

    def classify(self, x, features, weight, bias):
        x = self.add("GlobalAveragePool", [x], "pooled")
        self.add("Flatten", [x], "embedding", axis=1)
        inputs = ["embedding", self.constant("fc.weight", weight.astype(np.float32)),
                  self.constant("fc.bias", bias.astype(np.float32))]
        self.add("Gemm", inputs, "logits", transB=1)
        return features, len(bias)

    def save(self, path, name, shape, metadata):
        features, classes = shape
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, name, [value("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
            [value("embedding", TensorProto.FLOAT, ["batch", features]),
             value("logits", TensorProto.FLOAT, ["batch", classes])], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="ca4")
        helper.set_model_props(model, {"ca4.name": name, "ca4.resize": "256", "ca4.crop": str(SIDE), **metadata})
        onnx.checker.check_model(model, full_check=True)
        partial = pathlib.Path(str(path) + ".partial")
        onnx.save(model, partial)
        partial.rename(path)


def fold(weights, conv, norm, epsilon):
    """A convolution without bias and the batch normalisation after it, as one convolution with bias."""
    scale = weights[norm + ".weight"] / np.sqrt(weights[norm + ".running_var"] + epsilon)
    return (weights[conv + ".weight"] * scale[:, None, None, None],
            weights[norm + ".bias"] - weights[norm + ".running_mean"] * scale)


def same_pads(side, kernel, stride):
    """TensorFlow's "same": ceil(side / stride) outputs; of an odd padding the larger part is at the end."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return [total // 2, total // 2, total - total // 2, total - total // 2]


# EfficientNet-Lite0 (Tan & Le 2019, "lite" variant: no squeeze-excite, ReLU6, stem and head not scaled), a row a stage:
# kernel, stride of the first block, expansion, channels out, blocks.
LITE0_STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
                (3, 1, 6, 320, 1)]
LITE0_EPSILON = 1e-3  # TensorFlow's batch normalisation, in which it was trained


def lite0(weights_path, out):
    weights = read_weights(weights_path)
    graph, side = Graph(), SIDE
    graph.constant("zero", np.float32(0))
    graph.constant("six", np.float32(6))

    def unit(x, name, conv, norm, stride=1, groups=1, relu=True):
        nonlocal side
        weight, bias = fold(weights, conv, norm, LITE0_EPSILON)
        x = graph.conv(x, name, weight, bias, stride, same_pads(side, weight.shape[2], stride), groups)
        side = -(-side // stride)
        return graph.add("Clip", [x, "zero", "six"], name + ".relu6") if relu else x

    x, block, channels = unit("image", "stem", "_conv_stem", "_bn0", stride=2), 0, 32
    for _kernel, first_stride, expansion, out_channels, repeats in LITE0_STAGES:
        for repeat in range(repeats):
            prefix, name, stride, entry = f"_blocks.{block}.", f"block{block}", first_stride if repeat == 0 else 1, x
            if expansion != 1:
                x = unit(x, name + ".expand", prefix + "_expand_conv", prefix + "_bn0")
            x = unit(x, name + ".depthwise", prefix + "_depthwise_conv", prefix + "_bn1", stride, channels * expansion)
            x = unit(x, name + ".project", prefix + "_project_conv", prefix + "_bn2", relu=False)
            if stride == 1 and channels == out_channels:
                x = graph.add("Add", [x, entry], name + ".add")
            channels, block = out_channels, block + 1
    x = unit(x, "head", "_conv_head", "_bn1")
    shape = graph.classify(x, 1280, weights["_fc.weight"], weights["_fc.bias"])
    # Trained on (x - 127) / 128 of the bytes; here in the units of torchvision, where a byte of 255 is 1.
    mean, std = ",".join(["0.498039"] * 3), ",".join(["0.501961"] * 3)
    graph.save(out, "efficientnet_lite0", shape, {"ca4.mean": mean, "ca4.std": std})


# ResNet50 (He et al. 2015; stride in the 3x3 as torchvision has it), a row a stage: inner channels, blocks, stride.
RESNET50_STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]


def resnet50(out):
    graph, random = Graph(), np.random.default_rng(50)

    def unit(x, name, channels_in, channels_out, kernel, stride=1, relu=True):
        # He initialisation: values neither die out nor overflow on their way, so their arithmetic costs what a trained
        # model's does (subnormal floats are slow).
        weight = random.normal(0, np.sqrt(2 / (channels_in * kernel * kernel)), (channels_out, channels_in, kernel, kernel))
        x = graph.conv(x, name, weight * (1 if relu else 0.5), np.zeros(channels_out), stride, [kernel // 2] * 4)
        return graph.add("Relu", [x], name + ".relu") if relu else x

    x = unit("image", "stem", 3, 64, 7, 2)
    x = graph.add("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (inner, blocks, first_stride) in enumerate(RESNET50_STAGES):
        for block in range(blocks):
            name, stride, entry = f"stage{stage}.{block}", first_stride if block == 0 else 1, x
            if block == 0:
                entry = unit(x, name + ".shortcut", channels, inner * 4, 1, stride, relu=False)
            x = unit(x, name + ".reduce", channels, inner, 1)
            x = unit(x, name + ".conv", inner, inner, 3, stride)
            x = unit(x, name + ".restore", inner, inner * 4, 1, relu=False)
            x = graph.add("Relu", [graph.add("Add", [x, entry], name + ".add")], name + ".relu")
            channels = inner * 4
    shape = graph.classify(x, 2048, random.normal(0, 0.02, (1000, 2048)), np.zeros(1000))
    graph.save(out, "resnet50_random", shape, {})


# --- The check -----------------------------------------------------------------------------------------------------------------

# Photo -> the ImageNet classes (ILSVRC 2012 numbering) a person would accept, one of which must be among the best three.
EXPECTED = {
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "coffee.png": {967: "espresso", 968: "cup", 504: "coffee mug"},
    "rocket.jpg": {657: "missile", 744: "projectile", 812: "space shuttle"},
    "motorcycle_left.png": {665: "moped", 670: "motor scooter"},
}


def check(model, photos):
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wrong = 0
    for name, accepted in EXPECTED.items():
        picture = Image.open(pathlib.Path(photos) / name).convert("RGB")
        scale = 256 / min(picture.size)
        picture = picture.resize([round(n * scale) for n in picture.size], Image.Resampling.BILINEAR)
        left, top = ((n - SIDE) // 2 for n in picture.size)
        pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), np.float32)
        image = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
        logits, embedding = session.run(["logits", "embedding"], {"image": image})
        odds = np.exp(logits[0] - logits[0].max())
        best = np.argsort(-odds)[:3]
        print(f"  {name}: " + ", ".join(f"class {i} {accepted.get(int(i), '')} {odds[i] / odds.sum():.0%}" for i in best))
        if not accepted.keys() & {int(i) for i in best} or not np.isfinite(embedding).all():
            print(f"  {name}: expected one of {accepted}", file=sys.stderr)
            wrong += 1
    return wrong


def main(arguments):
    match arguments:
        case ["lite0", weights, out]:
            lite0(weights, out)
        case ["resnet50", out]:
            resnet50(out)
        case ["check", model, photos]:
            return 1 if check(model, photos) else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
