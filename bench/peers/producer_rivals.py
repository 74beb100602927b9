"""What `ca4 produce` is measured against, one a process: bench/producer.py runs this file. Prints {"images", "wall_s", "cpu_s"}.

  bench/peers/producer_rivals.py WHAT MODEL.onnx FOLDER --batch N --device cpu|cuda
"""

import argparse
import json
import os
import resource
import threading
import time
from pathlib import Path

import numpy

CORES = os.cpu_count()
SIDE = 224
# cuDNN's choice of algorithms as `ca4 produce` has it.
CUDA = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})


def session(model, device):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if device == "cpu":
        options.intra_op_num_threads = CORES
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    onnxruntime.preload_dlls()
    opened = onnxruntime.InferenceSession(str(model), options, providers=[CUDA])
    assert opened.get_providers()[0] == CUDA[0], "ONNX Runtime does not start CUDA"
    return opened


def number_type(opened):
    return numpy.float16 if opened.get_inputs()[0].type == "tensor(float16)" else numpy.float32


def constants(opened):
    metadata = opened.get_modelmeta().custom_metadata_map
    numbers = lambda key, default: numpy.array([float(x) for x in metadata.get(key, default).split(",")], numpy.float32)
    return numbers("ca4.mean", "0.485,0.456,0.406"), numbers("ca4.std", "0.229,0.224,0.225")


def prepare(path, mean, std):
    """What torchvision's Resize(256), CenterCrop(224), ToTensor, Normalize do, as people write it."""
    from PIL import Image

    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    short = min(width, height)
    picture = picture.resize((256 * width // short, 256 * height // short), Image.Resampling.BILINEAR)
    left, top = (picture.width - SIDE) // 2, (picture.height - SIDE) // 2
    pixels = numpy.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), numpy.float32) / 255
    return ((pixels - mean) / std).transpose(2, 0, 1)


def batches(paths, size):
    return [paths[begin:begin + size] for begin in range(0, len(paths), size)]


def random_batch(size, dtype):
    return numpy.random.default_rng(0).standard_normal((size, 3, SIDE, SIDE), numpy.float32).astype(dtype)


def model_alone(args, paths):
    """Inputs lie where the model computes. On a GPU two runs at a time, as `ca4 produce` has them: one alone leaves gaps."""
    import onnxruntime

    opened = session(args.model, args.device)
    batch = random_batch(args.batch, number_type(opened))
    runs = len(paths) // args.batch
    if args.device == "cpu":
        run = lambda number: [opened.run(["embedding"], {"image": batch}) for _ in range(number)]
        run(1)
        return timed(lambda: run(runs), runs * args.batch)

    def lane(number):
        binding = opened.io_binding()
        binding.bind_ortvalue_input("image", onnxruntime.OrtValue.ortvalue_from_numpy(batch, "cuda", 0))
        binding.bind_output("embedding", "cuda")
        for _ in range(number):
            opened.run_with_iobinding(binding)

    def lanes(number):
        threads = [threading.Thread(target=lane, args=(number // 2,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lanes(20)
    return timed(lambda: lanes(runs), runs // 2 * 2 * args.batch)


def plain_loop(args, paths):
    """Pillow and ONNX Runtime, one after the other."""
    opened = session(args.model, args.device)
    mean, std = constants(opened)
    dtype = number_type(opened)
    opened.run(["embedding"], {"image": random_batch(args.batch, dtype)})

    def loop():
        for part in batches(paths, args.batch):
            batch = numpy.stack([prepare(path, mean, std) for path in part]).astype(dtype, copy=False)
            opened.run(["embedding"], {"image": batch})

    return timed(loop, len(paths))


def pillow_alone(args, paths):
    mean, std = constants(session(args.model, "cpu"))
    return timed(lambda: [prepare(path, mean, std) for path in paths], len(paths))


def torch_resnet50(args):
    import torch
    import torchvision

    torch.manual_seed(50)
    model = torchvision.models.resnet50(weights=None).eval()
    model.fc = torch.nn.Identity()
    model = model.to(args.device)
    return model.half() if args.device == "cuda" else model


def torch_transforms():
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIDE), transforms.ToTensor(),
                               transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def torch_loop(args, paths):
    """PyTorch with torchvision's transforms, one after the other; ResNet50 whatever the model."""
    import torch
    from PIL import Image

    model, transform = torch_resnet50(args), torch_transforms()
    dtype = next(model.parameters()).dtype

    @torch.inference_mode()
    def loop(these):
        for part in batches(these, args.batch):
            batch = torch.stack([transform(Image.open(path).convert("RGB")) for path in part])
            model(batch.to(args.device, dtype)).float().cpu().numpy()

    loop(paths[:2 * args.batch])
    return timed(lambda: loop(paths), len(paths))


class Files:
    """A dataset of torch's DataLoader; at the top of the file, since its worker processes want it there."""

    def __init__(self, paths):
        self.paths, self.transform = paths, torch_transforms()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def torch_dataloader(args, paths):
    """PyTorch with a DataLoader: a process a core decodes ahead, into pinned memory; channels last, which suits a GPU best."""
    import torch

    model = torch_resnet50(args).to(memory_format=torch.channels_last)
    dtype = next(model.parameters()).dtype

    @torch.inference_mode()
    def loop(these):
        loader = torch.utils.data.DataLoader(Files(these), batch_size=args.batch, num_workers=CORES, pin_memory=args.device == "cuda")
        for batch in loader:
            batch = batch.to(args.device, non_blocking=True).to(dtype, memory_format=torch.channels_last)
            model(batch).float().cpu().numpy()

    loop(paths[:2 * args.batch])
    return timed(lambda: loop(paths), len(paths))


def timed(work, images):
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    cpu_s = lambda: sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))
    before, start = cpu_s(), time.perf_counter()
    work()
    return {"images": images, "wall_s": time.perf_counter() - start, "cpu_s": cpu_s() - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["model_alone", "plain_loop", "pillow_alone", "torch_loop", "torch_dataloader"])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--device", required=True)
    args = parser.parse_args()
    paths = sorted(args.folder.iterdir())[:args.images]
    print(json.dumps(globals()[args.what](args, paths)))


if __name__ == "__main__":
    main()
