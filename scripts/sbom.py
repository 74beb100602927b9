#!/usr/bin/env python3
"""Writes build/sbom/ca4.cdx.json (CycloneDX): what the release build consists of.

The libraries that build/release/ca4 and ONNX Runtime load, the Debian packages whose headers and archives are compiled in, and ONNX Runtime
itself, which image and wheel carry. Packages and their sources are described by debsbom, from what dpkg says of them. Run by `make sbom`.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
BINARY = BUILD / "ca4"
ONNX = ROOT / ".deps/onnxruntime/lib/libonnxruntime.so"
OUT = ROOT / "build/sbom"
# By which names dpkg may know a file: /lib is a link to /usr/lib.
ALIASES = (r"^/usr/lib", "/lib")


def output(*argv):
    return subprocess.run(list(map(str, argv)), cwd=BUILD, check=True, capture_output=True, text=True).stdout


def libraries():
    """The shared libraries that the dynamic linker finds for both, as real paths."""
    found = re.findall(r"(?:=> |^\t)(/\S+) \(0x", output("ldd", BINARY, ONNX), re.MULTILINE)
    return {str(Path(path).resolve()) for path in found}


def compiled_in():
    """Headers and archives of the system that ninja knows the binary to be made from."""
    inputs = output("ninja", "-t", "inputs", "ca4").split("\n")
    objects = {name for name in inputs if name.endswith(".o")}
    files = {name for name in inputs if name.startswith("/usr/") and name.endswith((".a", ".h", ".hpp"))}
    for block in output("ninja", "-t", "deps", *objects).split("\n\n"):
        files |= {line.strip() for line in block.split("\n")[1:] if line.strip().startswith("/usr/")}
    # What links name by -l, or CMake by a path of its own.
    files |= {name for name in re.findall(r"\S+\.a\b", output("ninja", "-t", "commands", "-s", "ca4")) if name.startswith("/usr/")}
    return {str(Path(name).resolve()) for name in files if Path(name).exists()}


def packages_of(files):
    """{package:arch} that own the files, by dpkg. A file that none owns is an error: nobody would look after it."""
    names = sorted(files | {re.sub(*ALIASES, name) for name in files})
    said = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True).stdout
    owners = {}
    for line in said.splitlines():
        package, _, path = line.rpartition(": ")
        for one in package.split(", "):
            if not one.startswith("diversion "):
                owners.setdefault(str(Path(path).resolve()), one)
    unknown = {name for name in files if name not in owners}
    if unknown:
        sys.exit(f"sbom: no Debian package has {', '.join(sorted(unknown))}")
    return set(owners[name] for name in files)


def describe(packages):
    """CycloneDX of the packages and their sources, by debsbom."""
    root = OUT / "dpkg"
    (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").write_text(output("dpkg-query", "--status", *sorted(packages)))
    arch = output("dpkg", "--print-architecture").strip()
    made = [Path(sys.executable).parent / "debsbom", "generate", "--sbom-type", "cdx", "--root", root, "--distro-arch", arch]
    output(*made, "--cdx-schema-version", "1.6", "--no-recommends-deps", "--out", OUT / "debian")
    return json.loads((OUT / "debian.cdx.json").read_text())


def onnx_runtime():
    """As PyPI has it: this is where scripts/setup-onnxruntime.sh takes it from."""
    library = ONNX.resolve()
    version = library.name.removeprefix("libonnxruntime.so.")
    purl = f"pkg:pypi/onnxruntime@{version}"
    return {"type": "library", "bom-ref": purl, "name": "onnxruntime", "version": version, "purl": purl, "hashes": [sha256(library)],
            "licenses": [{"license": {"id": "MIT"}}]}  # fmt: skip


def sha256(path):
    return {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}


def whole(linked, built):
    """The document: debsbom's, about this program instead of a machine."""
    document = describe(linked | built)
    version = output(BINARY, "--version").split()[1]
    ours = {"type": "application", "bom-ref": f"ca4@{version}", "name": "ca4", "version": version, "hashes": [sha256(BINARY)],
            "licenses": [{"license": {"id": "Apache-2.0"}}]}  # fmt: skip
    machine = document["metadata"]["component"]["bom-ref"]
    document["metadata"]["component"] = ours
    for dependency in document["dependencies"]:
        if dependency["ref"] == machine:
            dependency["ref"] = ours["bom-ref"]
            dependency["dependsOn"].append(onnx_runtime()["bom-ref"])
    document["components"].append(onnx_runtime())
    names = {name.split(":")[0] for name in linked}
    for component in document["components"]:
        if "arch=source" not in component["purl"]:
            use = "loaded at run time" if component["name"] in names | {"onnxruntime"} else "compiled in"
            component["properties"] = [*component.get("properties", []), {"name": "ca4:use", "value": use}]
    return document


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    document = whole(packages_of(libraries()), packages_of(compiled_in()))
    text = json.dumps(document, indent=1)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        sys.exit(f"sbom: what was made does not fit CycloneDX 1.6: {wrong}")
    (OUT / "ca4.cdx.json").write_text(text + "\n")
    print(f"build/sbom/ca4.cdx.json: {len(document['components'])} components")


if __name__ == "__main__":
    main()
