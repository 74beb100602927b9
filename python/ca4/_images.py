"""What callers give as images, as the core wants it: a list of files, or an iterator of (name, load)."""

import functools
import glob
import os
import warnings
from collections.abc import Iterable

import numpy

from ca4 import _native


def _shown(name):
    """A name that can't steer a terminal, and that every output takes: a file's may be any bytes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def listed(bad):
    """Lines of (name, reason) to append to a text: enough of them to see what is wrong."""
    shown = "".join(f"\n  {_shown(name)}: {reason}" for name, reason in bad[:10])
    return shown + (f"\n  and {len(bad) - 10} more" if len(bad) > 10 else "")


class ImageError(ValueError):
    """Some of the images can't be embedded. `bad` is [(index, name, reason)]."""

    def __init__(self, bad):
        self.bad = bad
        shown = listed([(name, reason) for _, name, reason in bad])
        super().__init__(f"{len(bad)} image{'s' if len(bad) != 1 else ''} can't be embedded:{shown}")


def _is_one_picture(image):
    return isinstance(image, numpy.ndarray) or hasattr(image, "convert")


def _rgb(image):
    """The pixels as a C-contiguous (height, width, 3) uint8 array; alpha is dropped, grey repeated."""
    if hasattr(image, "convert"):  # Pillow, which need not be installed
        image = image.convert("RGB")
    pixels = numpy.asarray(image)
    if pixels.dtype != numpy.uint8:
        raise TypeError(f"an array of {pixels.dtype}; expected uint8, 0 to 255")
    if pixels.ndim == 2:
        pixels = numpy.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise TypeError(f"an array of shape {pixels.shape}; expected (height, width, 3)")
    return numpy.ascontiguousarray(pixels[:, :, :3])


def _expanded(paths):
    """The files that paths, folders and patterns mean."""
    files, advice = _native.expand_paths([os.fspath(path) for path in paths])
    if advice:
        warnings.warn(advice, stacklevel=2)
    return files


def _pairs(images):
    """Files of paths, folders and patterns; names and loaders of pictures in memory."""
    for index, image in enumerate(images):
        name = f"image-{index}"
        if isinstance(image, tuple) and len(image) == 2 and isinstance(image[0], str):
            name, image = image
        if isinstance(image, (str, os.PathLike)):
            for path in [os.path.abspath(image)] if _is_one_file(image) else _expanded([image]):
                yield path, None
        elif _is_one_picture(image):
            yield name, functools.partial(_rgb, image)
        else:
            raise TypeError(f"{name} is of type {type(image).__name__}; expected a path, a PIL image or a uint8 array")


def _is_one_file(path):
    """Also one that is not there: it is reported like one that can't be read, and hurts no neighbour. A name may have brackets."""
    return os.path.isfile(path) or not (os.path.isdir(path) or glob.has_magic(os.fspath(path)))


def pairs(images):
    """(list of files or iterator of (name, load) for the core, how many there are or None)."""
    if isinstance(images, (str, os.PathLike)) or _is_one_picture(images):
        images = [images]
    if not isinstance(images, Iterable):
        raise TypeError(f"images: expected paths, PIL images or arrays, not {type(images).__name__}")
    if isinstance(images, (list, tuple)) and all(isinstance(i, (str, os.PathLike)) for i in images):
        if all(map(_is_one_file, images)):  # as many rows as were given, also of the same file twice
            files = [os.path.abspath(i) for i in images]
        else:
            files = _expanded(images)
        return files, len(files)
    return _pairs(images), len(images) if isinstance(images, (list, tuple)) else None
