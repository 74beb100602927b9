#!/usr/bin/env python3
"""oci.py ROOTFS CONTAINERFILE NAME:TAG ARCHIVE: an image archive from a root file system, without a container engine.

The image's configuration is that of the last stage of the Containerfile. The archive is an OCI layout that Docker's `load` takes too, as do
`podman load`, `skopeo copy oci-archive:` and `k3s ctr images import`. The same files give the same archive; times are SOURCE_DATE_EPOCH's.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import shlex
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def instructions(containerfile):
    """[(word, rest)] of the last stage."""
    lines = [line.strip() for line in containerfile.read_text().splitlines()]
    pairs = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    last = max(i for i, (word, _) in enumerate(pairs) if word == "FROM")
    return pairs[last + 1 :]


def configuration(containerfile):
    """Those that say how the image is started; what else a stage may hold is refused, so that nothing is left out unseen."""
    config = {"Env": []}
    for word, rest in instructions(containerfile):
        if word in ("USER", "WORKDIR", "STOPSIGNAL"):
            config[{"USER": "User", "WORKDIR": "WorkingDir", "STOPSIGNAL": "StopSignal"}[word]] = rest
        elif word == "ENV":
            config["Env"] += shlex.split(rest)
        elif word == "EXPOSE":
            config["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
        elif word == "LABEL":
            config["Labels"] = dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif (word, rest) != ("COPY", "--from=build /rootfs /"):
            raise SystemExit(f"oci: {containerfile}: {word} {rest}: not known here")
    return config


class Hashed:
    """A file to write to that knows what was written. Layers may be larger than memory."""

    def __init__(self, file):
        self.file, self.sum, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.sum.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    def digest(self):
        return f"sha256:{self.sum.hexdigest()}"


def write_layer(rootfs, when, file):
    """The whole root file system as one compressed tar; owners as they are, in numbers. Returns the digest before compression."""

    def plain(info):
        info.uname = info.gname = ""
        info.mtime = when
        return info

    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        raw = Hashed(packed)
        with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(rootfs.rglob("*")):
                tar.add(path, str(path.relative_to(rootfs)), recursive=False, filter=plain)
    return raw.digest()


def text(value):
    return json.dumps(value, sort_keys=True).encode()


class Archive:
    def __init__(self, path, when):
        self.when = when
        self.tar = tarfile.open(path, "w")

    def add(self, name, file, size):
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, self.when, 0o644
        self.tar.addfile(info, file)

    def add_text(self, name, value):
        self.add(name, io.BytesIO(text(value)), len(text(value)))

    def blob(self, file, digest, size, kind):
        """Adds it under its digest; the descriptor that others know it by."""
        file.seek(0)
        self.add(f"blobs/sha256/{digest.removeprefix('sha256:')}", file, size)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": size}

    def text_blob(self, value, kind):
        data = text(value)
        return self.blob(io.BytesIO(data), f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), kind)


def full_name(name):
    """As containerd wants it: with the registry that Docker would add."""
    registry, slash, _ = name.partition("/")
    if slash and ("." in registry or ":" in registry or registry == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def write(rootfs, containerfile, name, path):
    when = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    archive = Archive(path, when)
    with tempfile.TemporaryFile(dir=path.parent) as file:
        packed = Hashed(file)
        unpacked_digest = write_layer(rootfs, when, packed)
        layer = archive.blob(file, packed.digest(), packed.size, "layer.v1.tar+gzip")
    config = archive.text_blob(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)),
            "config": configuration(containerfile),
            "rootfs": {"type": "layers", "diff_ids": [unpacked_digest]},
        },
        "config.v1+json",
    )
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = archive.text_blob({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}, "manifest.v1+json")
    # containerd names an image by the first of the two, others by the second.
    known = {"io.containerd.image.name": full_name(name), "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    archive.add_text("index.json", {"schemaVersion": 2, "manifests": [manifest | {"annotations": known}]})
    archive.add_text("oci-layout", {"imageLayoutVersion": "1.0.0"})
    blob = "blobs/sha256/{}".format
    docker = {"Config": blob(config["digest"][7:]), "RepoTags": [name], "Layers": [blob(layer["digest"][7:])]}
    archive.add_text("manifest.json", [docker])
    archive.tar.close()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__.splitlines()[0])
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
