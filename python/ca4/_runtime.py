"""Finding ONNX Runtime in this Python."""

import importlib.util
import pathlib


def library():
    """The shared library of the installed onnxruntime or onnxruntime-gpu; empty: let the core look elsewhere."""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(pathlib.Path(folder, "capi").glob("libonnxruntime.so.*")):
            return str(path)
    return ""
