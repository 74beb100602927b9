"""Models, and embeddings without sending them."""

import os
import warnings

from ca4 import _checks, _native, _progress, _runtime
from ca4._images import ImageError, pairs


class Model:
    """An image model in an ONNX file, ready to run.

    device: "auto" (the GPU where ONNX Runtime can use one), "cpu" or "cuda". ort: ONNX Runtime's shared library, found in the
    installed package otherwise. output: name of the output to take, found by name and shape otherwise. threads: of the CPU, 0 for
    one a core.
    """

    def __init__(self, path, *, device="auto", ort=None, output="", threads=0):
        ort = os.fspath(ort) if ort else _runtime.library()
        self._native = _native.Model(os.fspath(path), ort, output, threads, device)
        if self._native.advice:
            warnings.warn(self._native.advice, stacklevel=2)

    def __repr__(self):
        return f"<ca4.Model {self.name}: {self.dim} floats from {self.output!r} on {self.device}, {self.runtime}>"

    name = property(lambda self: self._native.name)
    sha256 = property(lambda self: self._native.sha256)
    output = property(lambda self: self._native.output)
    dim = property(lambda self: self._native.dim)
    device = property(lambda self: self._native.device)
    runtime = property(lambda self: self._native.runtime)

    def embed(self, images, *, batch=8, progress=False):
        """An array of shape (images, dim) of float32, in the order given. Raises ImageError when any can't be embedded."""
        batch = _checks.whole("batch", batch, _checks.BATCH_MAX)
        iterator, count = pairs(images)
        bar = _progress.bar(progress, count)
        try:
            rows, bad = self._native.embed(iterator, count, batch, lambda done: _progress.advance(bar, done))
            _progress.advance(bar, len(rows))
        finally:
            bar.close()
        if bad:
            raise ImageError(bad)
        return rows


def open_model(model, **options):
    return model if isinstance(model, Model) else Model(model, **options)


def embed(images, model, *, batch=8, progress=False, **options):
    """Embeddings of images as an array. `model` is a path or a ca4.Model, which spares loading it again."""
    return open_model(model, **options).embed(images, batch=batch, progress=progress)
