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


def layer(rootfs, when):
    """The whole root file system as one tar; owners as they are, in numbers."""

    def plain(info):
        info.uname = info.gname = ""
        info.mtime = when
        return info

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(rootfs.rglob("*")):
            tar.add(path, str(path.relative_to(rootfs)), recursive=False, filter=plain)
    return out.getvalue()


def text(value):
    return json.dumps(value, sort_keys=True).encode()


class Archive:
    def __init__(self, path, when):
        self.when = when
        self.tar = tarfile.open(path, "w")

    def add(self, name, data):
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), self.when, 0o644
        self.tar.addfile(info, io.BytesIO(data))

    def blob(self, data, kind):
        """Adds it under its digest; the descriptor that others know it by."""
        digest = hashlib.sha256(data).hexdigest()
        self.add(f"blobs/sha256/{digest}", data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}


def write(rootfs, containerfile, name, path):
    when = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    files = layer(rootfs, when)
    archive = Archive(path, when)
    packed = archive.blob(gzip.compress(files, 6, mtime=0), "layer.v1.tar+gzip")
    config = archive.blob(
        text(
            {
                "architecture": ARCHITECTURES[platform.machine()],
                "os": "linux",
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)),
                "config": configuration(containerfile),
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(files).hexdigest()}"]},
            }
        ),
        "config.v1+json",
    )
    manifest = archive.blob(
        text({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [packed]}),
        "manifest.v1+json",
    )
    # containerd names an image by the first of the two, others by the second.
    known = {"io.containerd.image.name": f"docker.io/library/{name}", "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    archive.add("index.json", text({"schemaVersion": 2, "manifests": [manifest | {"annotations": known}]}))
    archive.add("oci-layout", text({"imageLayoutVersion": "1.0.0"}))
    blob = "blobs/sha256/{}".format
    docker = {"Config": blob(config["digest"][7:]), "RepoTags": [name], "Layers": [blob(packed["digest"][7:])]}
    archive.add("manifest.json", text([docker]))
    archive.tar.close()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__.splitlines()[0])
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
