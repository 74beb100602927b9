"""Images to embeddings to a CA4 processor.

    ca4.gpu_info()                          what this machine computes with
    ca4.embed(images, model="m.onnx")       embeddings as an array
    ca4.Producer(endpoint=..., token=..., model="m.onnx").run(images)
"""

import importlib
import os

from ca4._native import __version__

__all__ = ["ImageError", "Model", "Producer", "ProducerError", "Summary", "__version__", "embed", "gpu_info"]

# ONNX Runtime's own builds, from 1.32 on, tell Microsoft about each session unless this is set before they are loaded: "0" lets them.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {"ImageError": "_images", "Model": "_model", "Producer": "_producer", "ProducerError": "_producer", "Summary": "_producer",
          "embed": "_model", "gpu_info": "_gpu"}


# Looked up when first used: NumPy starts threads when it is imported, and the command must block signals before any thread is there.
def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'ca4' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ca4.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
