"""Finding ONNX Runtime in this Python, and making its CUDA libraries known to the dynamic linker."""

import importlib.util
import pathlib
import sys


def library():
    """The shared library of the installed onnxruntime or onnxruntime-gpu; empty: let the core look elsewhere."""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(pathlib.Path(folder, "capi").glob("libonnxruntime.so.*")):
            return str(path)
    return ""


def preload_cuda(ort):
    """CUDA and cuDNN live in packages of their own, where only Python finds them. What is loaded already serves by its name.

    Not tried on a GPU by the project's tests, which have none."""
    if not ort or not (pathlib.Path(ort).parent / "libonnxruntime_providers_cuda.so").exists():
        return
    try:
        import onnxruntime

        onnxruntime.preload_dlls()
    except Exception as error:  # the core says what is missing when it needs it
        print(f"ca4: onnxruntime could not preload its CUDA libraries: {error}", file=sys.stderr)
