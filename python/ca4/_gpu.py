"""What the machine computes with: the driver's answer, and what only Python knows."""

import importlib.metadata
import json
import sys

from ca4 import _native


def known():
    """Members of `gpu_hardware` that Python knows better than the driver."""
    out = {}
    try:
        out["pytorch_version"] = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        pass
    torch = sys.modules.get("torch")  # importing it costs seconds, so only where somebody has
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available() and torch.cuda.is_initialized():
        out["memory_allocated_mb"] = torch.cuda.memory_allocated() / 1e6
        out["memory_reserved_mb"] = torch.cuda.memory_reserved() / 1e6
        out["cudnn_version"] = torch.backends.cudnn.version()
    return out


def known_json():
    return json.dumps(known())


def gpu_info():
    """The `gpu_hardware` block as a dict; docs/producer.md lists its members."""
    return json.loads(_native.gpu_hardware_json(known_json()))
