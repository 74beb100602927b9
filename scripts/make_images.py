#!/usr/bin/env python3
"""Makes the pictures of the demo and the tests.

  make_images.py SCIKIT_IMAGE.whl SCIKIT_LEARN.whl OUT/

OUT/photos      photographs under their own names, and of each three likenesses: NAME-crop.jpg, NAME-mirrored.webp,
                NAME-small.png. What stands before the "-" says which pictures belong together, so nearest neighbours have a
                known answer.
OUT/formats     one photograph in every kind of JPEG, PNG and WebP that a decoder treats differently
OUT/broken      files that must be refused
OUT/reference   for each file of formats, the 224x224 RGB bytes that torchvision's usual preprocessing makes of it (resize of
                the shorter side to 256, centre crop), computed by Pillow: NAME.rgb
"""
import io
import pathlib
import struct
import sys
import zipfile
import zlib

import numpy as np
from PIL import Image, ImageOps

PHOTOS = {
    "skimage/data/": ["astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
                      "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
                      "motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg"],
    "sklearn/datasets/images/": ["china.jpg", "flower.jpg"],
}


def photos(wheels, out):
    out.mkdir(parents=True)
    for wheel, (folder, names) in zip(wheels, PHOTOS.items(), strict=True):
        with zipfile.ZipFile(wheel) as archive:
            for name in names:
                (out / name).write_bytes(archive.read(folder + name))
                likenesses(out / name)


def likenesses(path):
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    width, height = photo.size
    crop = photo.crop((width // 10, height // 10, width - width // 10, height - height // 10))
    crop.save(path.with_name(path.stem + "-crop.jpg"), quality=80)
    ImageOps.mirror(photo).save(path.with_name(path.stem + "-mirrored.webp"), quality=80)
    photo.resize((width * 3 // 5, height * 3 // 5), Image.Resampling.LANCZOS).save(path.with_name(path.stem + "-small.png"))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, bits, colour):
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png_16_bit(array, colour):
    """Pillow writes no 16-bit colour; rows are unfiltered, samples big-endian."""
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return (png_header(width, height, 16, colour) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))


def formats(photo, out):
    out.mkdir(parents=True)
    save = lambda name, picture=photo, **options: picture.save(out / name, **options)
    ramp = Image.linear_gradient("L").resize(photo.size)
    grey, rgba = photo.convert("L"), photo.copy()
    rgba.putalpha(ramp)

    save("jpeg-420.jpg", quality=90, subsampling="4:2:0")
    save("jpeg-444.jpg", quality=90, subsampling="4:4:4")
    save("jpeg-progressive.jpg", quality=90, progressive=True)
    save("jpeg-grey.jpg", grey, quality=90)
    save("jpeg-cmyk.jpg", photo.convert("CMYK"), quality=90)
    # Orientation 6: "turn me to the right". torchvision's loader does not, so neither do we.
    exif = Image.Exif()
    exif[0x0112] = 6
    save("jpeg-exif-turned.jpg", quality=90, exif=exif)
    save("jpeg-large.jpg", photo.resize((photo.width * 5, photo.height * 5), Image.Resampling.BICUBIC), quality=90)
    save("jpeg-odd-size.jpg", photo.crop((0, 0, 331, 257)), quality=90)

    save("png-rgb.png")
    save("png-grey.png", grey)
    save("png-alpha.png", rgba)
    save("png-grey-alpha.png", Image.merge("LA", (grey, ramp)))
    save("png-palette.png", photo.quantize(64))
    save("png-palette-transparent.png", photo.quantize(64), transparency=3)
    save("png-bits.png", grey.convert("1"))
    pixels = np.asarray(photo, np.uint16)
    (out / "png-rgb16.png").write_bytes(png_16_bit(pixels * 257 - (pixels > 0) * 100, 2))
    save("png-narrow.png", photo.crop((100, 0, 140, 300)))
    save("png-wide.png", photo.resize((900, 60)))
    save("png-tiny.png", photo.resize((7, 5)))

    save("webp-lossy.webp", quality=80)
    save("webp-lossless.webp", lossless=True)
    save("webp-alpha.webp", rgba, quality=80)


def reference(path):
    """transforms.Resize(256), transforms.CenterCrop(224) on a PIL image, and nothing turned by EXIF."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    width, height = picture.size
    short = min(width, height)
    size = (256, int(256 * height / short)) if width <= height else (int(256 * width / short), 256)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (int(round((n - 224) / 2.0)) for n in size)
    return picture.crop((left, top, left + 224, top + 224)).tobytes()


def broken(photo, out):
    out.mkdir(parents=True)
    jpeg, png, webp = (io.BytesIO() for _ in range(3))
    photo.save(jpeg, "JPEG")
    photo.save(png, "PNG")
    photo.save(webp, "WEBP")
    for name, data in {"truncated.jpg": jpeg, "truncated.png": png, "truncated.webp": webp}.items():
        (out / name).write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    (out / "text.jpg").write_bytes(b"this is no picture\n")
    (out / "empty.png").write_bytes(b"")
    flipped = bytearray(png.getvalue())
    flipped[len(flipped) // 2] ^= 0x40
    (out / "bad-checksum.png").write_bytes(flipped)
    # A few bytes that announce ten gigabytes of pixels.
    (out / "bomb.png").write_bytes(png_header(60000, 60000, 8, 2) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
                                   + png_chunk(b"IEND", b""))


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    out = pathlib.Path(arguments[2])
    photos(arguments[:2], out / "photos")
    with Image.open(out / "photos" / "chelsea.png") as opened:
        cat = opened.convert("RGB")
    formats(cat, out / "formats")
    broken(cat, out / "broken")
    (out / "reference").mkdir()
    for path in sorted((out / "formats").iterdir()):
        (out / "reference" / (path.name + ".rgb")).write_bytes(reference(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
