"""`make sbom`: the list of what the program is made of, against its schema and against the program."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support import ROOT

RELEASE = ROOT / "build/release/ca4"


def fits_the_schema(document):
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


@pytest.fixture(scope="module")
def sbom():
    made = subprocess.run([sys.executable, ROOT / "scripts/sbom.py"], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    return json.loads((ROOT / "build/sbom/ca4.cdx.json").read_text())


def unlisted(sbom, binary=RELEASE):
    """Libraries that the linker gives the program whose package and version is not in the list."""
    env = {"LD_TRACE_LOADED_OBJECTS": "1"}
    text = subprocess.run(["/lib64/ld-linux-x86-64.so.2", binary], env=env, capture_output=True, text=True, check=True).stdout
    listed = {(c["name"], c["version"]) for c in sbom["components"] if "arch=source" not in c["purl"]}
    missing = []
    for path in re.findall(r"(/\S+\.so\S*) ", text):
        name = Path(path).name
        real = str(Path(path).resolve())
        names = [real, real.removeprefix("/usr")]  # /lib is a link
        owner = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True).stdout
        package = owner.split(":")[0]
        version = subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", package], capture_output=True, text=True).stdout
        missing += [] if (package, version) in listed else [name]
    assert text.count(" => ") > 20
    return missing


def test_it_fits_cyclonedx(sbom):
    assert fits_the_schema(sbom)
    assert sbom["metadata"]["component"]["name"] == "ca4"
    wrong = copy.deepcopy(sbom)
    wrong["components"][0]["tpye"] = wrong["components"][0].pop("type")
    assert not fits_the_schema(wrong)


def test_every_library_that_the_program_loads_is_listed(sbom):
    assert unlisted(sbom) == []
    without = sbom | {"components": [c for c in sbom["components"] if c["name"] != "libssl3"]}
    assert set(unlisted(without)) == {"libssl.so.3", "libcrypto.so.3"}


def test_what_is_compiled_in_and_onnx_runtime_are_listed(sbom):
    use = {c["name"]: p["value"] for c in sbom["components"] for p in c.get("properties", []) if p["name"] == "ca4:use"}
    header_only = {"libboost1.81-dev", "libcli11-dev", "libtomlplusplus-dev", "nlohmann-json3-dev"}
    assert {name for name in header_only if use.get(name) == "compiled in"} == header_only
    assert use["onnxruntime"] == use["libssl3"] == use["libc6"] == "loaded at run time"
    assert "libgtest-dev" not in use
    assert all(c["version"] for c in sbom["components"])
    (whole,) = [d for d in sbom["dependencies"] if d["ref"] == sbom["metadata"]["component"]["bom-ref"]]
    assert {c["bom-ref"] for c in sbom["components"] if "arch=source" not in c["purl"]} == set(whole["dependsOn"])


def checked(sbom, tmp_path, versions):
    """`make sbom-check` on the list with these versions in place of its own."""
    components = [c | {"version": versions(c["name"], c["version"])} for c in sbom["components"]]
    (tmp_path / "sbom.json").write_text(json.dumps(sbom | {"components": components}))
    return subprocess.run([sys.executable, ROOT / "scripts/sbom_check.py", tmp_path / "sbom.json"], capture_output=True, text=True)


def test_a_package_that_is_older_than_what_debian_has_is_told(sbom, tmp_path):
    newest = checked(sbom, tmp_path, lambda name, version: "999:1")
    assert (newest.returncode, newest.stderr) == (0, "")
    assert newest.stdout.startswith("sbom-check: 0 of ")
    old = checked(sbom, tmp_path, lambda name, version: "0.1" if name == "libssl3" else "999:1")
    assert old.returncode == 1
    assert re.match(r"libssl3 0\.1: Debian has 3\.0\.\S+", old.stdout)
    assert "sbom-check: 1 of " in old.stdout
