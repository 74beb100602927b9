"""Measures `ca4 produce` on this machine against (a) the model alone with its inputs ready and (b) loops in Python as people write
them: same model, same photographs, same machine, taking turns in one run. Writes build/bench/producer.md.

  bench/producer.py [MODEL.onnx ...]
  bench/producer.py --device cuda --batch 64 --images 40000 --loop-images 4000 --torch resnet50_half.onnx

On a CPU (a) does no decoding, so nobody who decodes on the same cores reaches it; "ceiling with decoding" is what the cores could do if
the model cost what it costs in (a) and each picture what Pillow needs for it, without a gap. On a GPU two runs of (a) take turns with
inputs that lie in its memory. (b) sends nothing; ca4 sends to a `ca4 serve` on the same machine. CPU times are user + system.
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
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CA4 = ROOT / "build/release/ca4"
MODELS = [ROOT / ".deps/model/resnet50_random.onnx", ROOT / ".deps/model/efficientnet_lite0.onnx"]
OUT = ROOT / "build/bench"
CORES = os.cpu_count()


def photographs(real, folder, number):
    """Photographs that differ: each is one of the real ones with a few bytes behind its end, which decoders don't read."""
    sources = [(path.suffix, path.read_bytes()) for path in sorted(Path(real).iterdir())]
    for i in range(number):
        suffix, data = sources[i % len(sources)]
        (folder / f"{i:06}{suffix}").write_bytes(data + i.to_bytes(4, "little"))


class GpuUse:
    """What nvidia-smi says of the GPU, five times a second; nothing where it is not asked."""

    def __init__(self, wanted):
        self.samples = []  # (time, utilization in percent, watts)
        self.program = None
        if wanted:
            query = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu,power.draw", "--format=csv,noheader,nounits", "-lms", "200"]
            self.program = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.program.stdout:
            self.samples.append((time.monotonic(), *map(float, line.split(","))))

    def last(self, seconds):
        """The means over these last seconds, without the first, which NVML's own averaging mixes with what was before."""
        if self.program is None:
            return {}
        now = time.monotonic()
        self.program.terminate()
        self.program.wait(30)
        rows = [row[1:] for row in self.samples if row[0] > now - max(seconds - 1, 0.5)]
        percent, watts = (statistics.mean(column) for column in zip(*rows))
        return {"gpu_percent": percent, "watts": watts}


def rival(what, model, folder, args, images):
    """A fresh interpreter for each measurement: no thread pool of the one before is in the way of the next."""
    command = [sys.executable, ROOT / "bench/peers/producer_rivals.py", what, model, folder, "--images", images, "--batch", args.batch,
               "--device", args.device]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(model, folder, args, scratch):
    data = Path(tempfile.mkdtemp(dir=scratch))
    server = subprocess.Popen([args.server, "serve", "--data-dir", data / "data", "--listen", "127.0.0.1:0", "--log-level", "warn"],
                              stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline())[0]
        before, use = resource.getrusage(resource.RUSAGE_CHILDREN), GpuUse(args.device == "cuda")
        done = subprocess.run([args.ca4, "produce", folder, "--endpoint", url, "--model", model, "--batch", str(args.batch), "--journal",
                               data / "journal", "--device", args.device], check=True, stdout=subprocess.PIPE, text=True, cwd=data)
        found = re.search(r"(\d+) sent.* ([\d.]+) images/s, model busy (\d+) %", done.stdout.replace("\n", " "))
        wall_s = int(found[1]) / float(found[2])
        gpu = use.last(wall_s)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(data)
    return {"images": int(found[1]), "wall_s": wall_s, "busy_percent": int(found[3]), **gpu,
            "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def row(model, runs, args):
    rate = {name: statistics.median(r["images"] / r["wall_s"] for r in results) for name, results in runs.items()}
    cpu = {name: statistics.median(r["cpu_s"] / r["images"] for r in results) for name, results in runs.items()}
    middle = lambda key: statistics.median(r[key] for r in runs["ours"])
    out = {"model": Path(model).stem, "ca4 images/s": f"{rate['ours']:.1f}", "(a) model alone": f"{rate['model_alone']:.1f}",
           "ca4 / (a)": f"{rate['ours'] / rate['model_alone']:.2f}"}
    if args.device == "cpu":
        with_decoding = CORES / (cpu["model_alone"] + cpu["pillow_alone"])
        out |= {"ceiling with decoding": f"{with_decoding:.1f}", "ca4 / ceiling": f"{rate['ours'] / with_decoding:.2f}"}
    for name in ("plain_loop", "torch_loop", "torch_dataloader"):
        if name in rate:
            out |= {f"(b) {name}": f"{rate[name]:.1f}", f"ca4 / {name}": f"{rate['ours'] / rate[name]:.2f}"}
    out["model busy"] = f"{middle('busy_percent'):.0f} %"
    if args.device == "cuda":
        out |= {"GPU use, nvidia-smi": f"{middle('gpu_percent'):.0f} %", "W": f"{middle('watts'):.0f}"}
    return out | {"CPU ms an image": ", ".join(f"{name} {cpu[name] * 1e3:.1f}" for name in cpu)}


def measure(model, args):
    rivals = {"model_alone": args.images, "plain_loop": args.loop_images, "pillow_alone": args.loop_images}
    if args.torch:
        rivals |= {"torch_loop": args.loop_images, "torch_dataloader": args.images}
    if args.device == "cuda":
        del rivals["pillow_alone"]
    runs = {name: [] for name in ("ours", *rivals)}
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        folder = Path(scratch, "photos")
        folder.mkdir()
        photographs(args.photos, folder, args.images)
        for _ in range(args.rounds):
            runs["ours"].append(ours(model, folder, args, scratch))
            for name, images in rivals.items():
                runs[name].append(rival(name, model, folder, args, images))
    print(f"{Path(model).stem}: {json.dumps(runs)}", file=sys.stderr, flush=True)
    return row(model, runs, args)


def machine(args):
    said = [f"{CORES} cores, {platform.machine()}, Linux {platform.release()}"]
    if args.device == "cuda":
        query = ["nvidia-smi", "-i", "0", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        said.append(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    return "; ".join(said)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=144)
    parser.add_argument("--loop-images", type=int, help="for the slow loops of (b) [all]")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--torch", action="store_true", help="loops of PyTorch too, which must be installed; with ResNet50 whatever the model")
    parser.add_argument("--photos", default=ROOT / ".deps/images/photos")
    parser.add_argument("--ca4", default=CA4, help="the program that is measured")
    parser.add_argument("--server", default=CA4, help="the program that it sends to")
    parser.add_argument("--scratch", default=OUT, help="folder for the photographs and the server's data while it runs")
    parser.add_argument("models", nargs="*", default=MODELS)
    args = parser.parse_args()
    # `ca4 produce` runs in a folder of its own.
    args.ca4, args.server = Path(args.ca4).resolve(), Path(args.server).resolve()
    args.models = [Path(model).resolve() for model in args.models]
    args.images = args.images // args.batch * args.batch
    args.loop_images = min(args.loop_images or args.images, args.images)
    return args


def main():
    args = arguments()
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [measure(model, args) for model in args.models]
    columns = list(rows[0])
    lines = [f"{machine(args)}; {args.images} photographs, batches of {args.batch}, medians of {args.rounds} rounds that take turns.", "",
             "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(r[c] for c in columns) + " |" for r in rows]
    (OUT / "producer.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
