"""`ca4 produce` with models that are not what they look like."""

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import PHOTOS
from test_worker import keys_in_log

PHOTO_NAMES = ["astronaut.png", "chelsea.png", "china.jpg"]
SIDE = 16


def model_of(nodes, dim, weights=()):
    """A model of (N, 3, 16, 16) whose output `embedding` the last of the nodes gives."""
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["M", dim])
    graph = helper.make_graph(nodes, "g", [picture], [embedding], [numpy_helper.from_array(numbers, name) for name, numbers in weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights_beside(folder, seed):
    """As torch.onnx.export leaves a model: a file with the graph, and model.onnx.data with what it has learnt."""
    folder.mkdir()
    numbers = numpy.random.default_rng(seed).normal(size=(3 * SIDE * SIDE, 8)).astype("f")
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["embedding"])]
    where = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save(model_of(nodes, 8, [("w", numbers)]), folder / "model.onnx", **where)
    return folder / "model.onnx"


@pytest.fixture
def produce(ca4, tmp_path):
    def begin(server, model):
        photos = [PHOTOS / name for name in PHOTO_NAMES]
        return ca4("produce", *photos, "--endpoint", server.url, "--model", model, "--journal", tmp_path / "journal")

    return begin


def test_the_same_graph_with_other_weights_is_another_model(up, produce, tmp_path):
    server = up()
    first, second = (weights_beside(tmp_path / name, seed) for name, seed in [("first", 1), ("second", 2)])
    assert first.read_bytes() == second.read_bytes()
    assert "3 sent" in produce(server, first).stdout
    assert "3 images: 3 sent" in produce(server, second).stdout
    assert len(set(keys_in_log(server.data_dir))) == 6
    second.with_name("model.onnx.data").unlink()
    alone = produce(server, second)
    assert alone.returncode == 1
    assert f"{second} has weights in a file beside it: {second}.data: No such file" in alone.stderr


def test_an_output_without_a_row_an_image_is_no_embedding(up, produce, tmp_path):
    server = up()
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axes"], ["embedding"]),
    ]
    onnx.save(model_of(nodes, 3, [("axes", numpy.array([0]))]), tmp_path / "mean.onnx")
    result = produce(server, tmp_path / "mean.onnx")
    assert result.returncode == 1
    assert "its output has shape (1, 3) for 3 images" in result.stderr
    assert keys_in_log(server.data_dir) == []
