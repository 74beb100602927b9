"""Measures `ca4 produce` on this machine's CPU against (a) the model alone with its inputs ready and (b) a plain loop in Python with
Pillow and ONNX Runtime: same model, same photographs, same threads, taking turns in one run. Writes build/bench/producer.md.

  bench/producer.py [--rounds N] [--images N] [MODEL.onnx ...]

(a) does no decoding, so nobody who decodes on the same cores reaches it; "ceiling with decoding" is what the cores could do if
the model cost what it costs in (a) and each picture what Pillow needs for it, without a gap. CPU times are user + system.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CA4 = ROOT / "build/release/ca4"
MODELS = [ROOT / ".deps/model/resnet50_random.onnx", ROOT / ".deps/model/efficientnet_lite0.onnx"]
OUT = ROOT / "build/bench"
BATCH = 8
CORES = os.cpu_count()


def photographs(folder, number):
    """Photographs that differ: each is one of the real ones with a few bytes behind its end, which decoders don't read."""
    real = sorted((ROOT / ".deps/images/photos").iterdir())
    paths = []
    for i in range(number):
        source = real[i % len(real)]
        paths.append(folder / f"{i:05}{source.suffix}")
        paths[-1].write_bytes(source.read_bytes() + i.to_bytes(4, "little"))
    return paths


def session(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = CORES
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def constants(opened):
    import numpy

    metadata = opened.get_modelmeta().custom_metadata_map
    numbers = lambda key, default: numpy.array([float(x) for x in metadata.get(key, default).split(",")], numpy.float32)
    return numbers("ca4.mean", "0.485,0.456,0.406"), numbers("ca4.std", "0.229,0.224,0.225")


def prepare(path, mean, std):
    """What torchvision's Resize(256), CenterCrop(224), ToTensor, Normalize do, as people write it."""
    import numpy
    from PIL import Image

    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    short = min(width, height)
    picture = picture.resize((256 * width // short, 256 * height // short), Image.Resampling.BILINEAR)
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    pixels = numpy.asarray(picture.crop((left, top, left + 224, top + 224)), numpy.float32) / 255
    return ((pixels - mean) / std).transpose(2, 0, 1)


def model_alone(model, paths):
    import numpy

    opened = session(model)
    batch = numpy.random.default_rng(0).standard_normal((BATCH, 3, 224, 224), numpy.float32)
    run = lambda: opened.run(["embedding"], {"image": batch})
    run()
    return timed(lambda: [run() for _ in range(len(paths) // BATCH)])


def plain_loop(model, paths):
    import numpy

    opened = session(model)
    mean, std = constants(opened)
    opened.run(["embedding"], {"image": numpy.zeros((BATCH, 3, 224, 224), numpy.float32)})

    def loop():
        for begin in range(0, len(paths), BATCH):
            batch = numpy.stack([prepare(path, mean, std) for path in paths[begin:begin + BATCH]])
            opened.run(["embedding"], {"image": batch})

    return timed(loop)


def pillow_alone(model, paths):
    mean, std = constants(session(model))
    return timed(lambda: [prepare(path, mean, std) for path in paths])


def timed(work):
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {"wall_s": wall, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def in_a_process(what, model, folder):
    """A fresh interpreter for each measurement: no thread pool of the one before is in the way of the next."""
    command = [sys.executable, __file__, "--measure", what, "--folder", folder, model]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ours(model, folder, scratch):
    data = Path(tempfile.mkdtemp(dir=scratch))
    server = subprocess.Popen([CA4, "serve", "--data-dir", data / "data", "--listen", "127.0.0.1:0", "--log-level", "warn"],
                              stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline())[0]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([CA4, "produce", folder, "--endpoint", url, "--model", model, "--batch", str(BATCH), "--journal",
                               data / "journal", "--device", "cpu"], check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(data)
    found = re.search(r"([\d.]+) s, ([\d.]+) images/s, model busy (\d+) %", done.stdout)
    return {"wall_s": float(found[1]), "busy_percent": int(found[3]),
            "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def row(model, runs, images):
    rate = {name: images / statistics.median(r["wall_s"] for r in results) for name, results in runs.items()}
    cpu = {name: statistics.median(r["cpu_s"] for r in results) / images for name, results in runs.items()}
    with_decoding = CORES / (cpu["model_alone"] + cpu["pillow_alone"])
    return {
        "model": Path(model).stem, "ca4 images/s": f"{rate['ours']:.1f}", "(a) model alone": f"{rate['model_alone']:.1f}",
        "ceiling with decoding": f"{with_decoding:.1f}", "(b) plain loop": f"{rate['plain_loop']:.1f}",
        "ca4 / (a)": f"{rate['ours'] / rate['model_alone']:.2f}", "ca4 / ceiling": f"{rate['ours'] / with_decoding:.2f}",
        "ca4 / (b)": f"{rate['ours'] / rate['plain_loop']:.2f}",
        "model busy": f"{statistics.median(r['busy_percent'] for r in runs['ours']):.0f} %",
        "CPU ms an image: ca4, (a), Pillow, (b)": ", ".join(
            f"{cpu[name] * 1e3:.1f}" for name in ("ours", "model_alone", "pillow_alone", "plain_loop")),
    }


def measure(model, rounds, images):
    runs = {name: [] for name in ("ours", "model_alone", "plain_loop", "pillow_alone")}
    with tempfile.TemporaryDirectory(dir=OUT) as scratch:
        folder = Path(scratch, "photos")
        folder.mkdir()
        photographs(folder, images)
        for _ in range(rounds):
            runs["ours"].append(ours(model, folder, scratch))
            for name in ("model_alone", "plain_loop", "pillow_alone"):
                runs[name].append(in_a_process(name, model, folder))
    return row(model, runs, images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=144)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", default=MODELS)
    args = parser.parse_args()
    if args.measure:
        paths = sorted(Path(args.folder).iterdir())
        print(json.dumps(globals()[args.measure](args.models[0], paths)))
        return
    OUT.mkdir(parents=True, exist_ok=True)
    images = args.images // BATCH * BATCH
    rows = [measure(model, args.rounds, images) for model in args.models]
    columns = list(rows[0])
    lines = [f"{CORES} cores, {platform.machine()}, Linux {platform.release()}; {images} photographs, batches of {BATCH}, medians of "
             f"{args.rounds} rounds that take turns.", "",
             "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(r[c] for c in columns) + " |" for r in rows]
    (OUT / "producer.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
