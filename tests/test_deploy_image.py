"""The container image: built without an engine and by buildah, read by skopeo, and run by runc as Kubernetes runs it: as a user without
privileges, on a root file system that is read-only, with nothing of this machine's but a network."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
import yaml
from netlab import Machine, command
from support import MODEL, PHOTOS, PATIENCE_S, ROOT, event, eventually, run

CONTAINERFILE = ROOT / "deploy/image/Containerfile"
NONROOT = 65532


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The archive, and what umoci makes of it: a folder with `rootfs` and `config.json`."""
    made = subprocess.run([ROOT / "scripts/image.sh", "archive"], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    (archive,) = (ROOT / "build/image/ca4").glob("ca4-*.tar")
    folder = tmp_path_factory.mktemp("image")
    # It checks every digest.
    command("skopeo", "copy", f"oci-archive:{archive}", f"oci:{folder}/layout:ca4")
    command("umoci", "unpack", "--image", f"{folder}/layout:ca4", folder / "bundle")
    return archive, folder / "bundle"


def test_the_same_files_give_the_same_archive(tmp_path):
    digests = set()
    for number in (1, 2):
        tree = tmp_path / str(number)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/bin/ca4").write_text("a program\n")
        os.utime(tree / "usr/bin/ca4", (number, number))
        archive = tmp_path / f"{number}.tar"
        argv = ["python3", ROOT / "deploy/image/oci.py", tree, CONTAINERFILE, "ca4:1", archive]
        command(*argv, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("ca4:1", "docker.io/library/ca4:1"),
        ("somebody/ca4:1", "docker.io/somebody/ca4:1"),
        ("registry.example:5000/ca4:1", "registry.example:5000/ca4:1"),
    ],
)
def test_containerd_finds_it_under_the_name_that_the_manifests_have(tmp_path, name, known):
    (tmp_path / "tree").mkdir()
    command("python3", ROOT / "deploy/image/oci.py", tmp_path / "tree", CONTAINERFILE, name, tmp_path / "archive.tar")
    index = json.loads(command("tar", "-xOf", tmp_path / "archive.tar", "index.json"))
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == known


def test_it_holds_the_program_and_nothing_to_work_with_for_an_intruder(image):
    rootfs = image[1] / "rootfs"
    assert [path.name for path in (rootfs / "usr/bin").iterdir()] == ["ca4"]
    files = [path for path in rootfs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if path.stat().st_mode & 0o6000], "no set-uid or set-gid program"
    assert not [path for path in files if path.stat().st_mode & 0o002], "nothing that others may write"
    executable = {path.name for path in files if path.stat().st_mode & 0o111}
    assert {name for name in executable if not name.startswith("ld-linux")} == {"ca4"}
    owned = [path for path in rootfs.rglob("*") if path.lstat().st_uid != 0]
    assert [str(path.relative_to(rootfs)) for path in owned] == ["var/lib/ca4"]
    trusted = (rootfs / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE")
    assert trusted == len(list(Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))) > 100
    assert (rootfs / "usr/share/doc/librdkafka1/copyright").is_file()


def test_it_is_as_the_manifests_say(image):
    config = json.loads(command("skopeo", "inspect", "--config", f"oci-archive:{image[0]}"))["config"]
    assert "PATH=/usr/bin" in config["Env"]
    containers = 0
    for path in (ROOT / "deploy/k8s").rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            spec = (((document or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
            for container in spec.get("containers", []):
                if not re.match(r"ca4(-cuda)?:", container.get("image", "")):
                    continue
                containers += 1
                security = spec["securityContext"]
                assert f"{security['runAsUser']}:{security['runAsGroup']}" == config["User"], path
                assert container["command"][0] == "ca4", path
                assert container["image"].endswith(f":{image[0].stem.removeprefix('ca4-')}"), path
                for port in container.get("ports", []):
                    assert f"{port['containerPort']}/tcp" in config["ExposedPorts"], path
    assert containers >= 3


class Container:
    """One run of the image by runc. `command` takes the place of the entry point, as a manifest's does; `mounts` is {inside: outside}."""

    def __init__(self, image, machine, folder, command, mounts, env=()):
        self.id = f"ca4-test-{uuid.uuid4().hex[:8]}"
        self.folder = folder / self.id
        self.folder.mkdir()
        config = json.loads((image[1] / "config.json").read_text())
        config["root"] = {"path": str(image[1] / "rootfs"), "readonly": True}
        config["process"]["terminal"] = False
        config["process"]["args"] = command
        config["process"]["env"] += list(env)
        config["process"]["noNewPrivileges"] = True
        config["process"]["capabilities"] = {kind: [] for kind in ("bounding", "effective", "permitted")}
        # The machine's network; its files stay out.
        for space in config["linux"]["namespaces"]:
            if space["type"] == "network":
                space["path"] = f"/proc/{machine.holder.pid}/ns/net"
        config["mounts"] += [
            {"destination": inside, "source": str(outside), "type": "bind", "options": ["rbind", "rw", "nosuid", "nodev"]}
            for inside, outside in mounts.items()
        ]
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["nosuid", "nodev", "mode=1777"]})
        (self.folder / "config.json").write_text(json.dumps(config))
        self.log = self.folder / "log"
        self.process = None

    def start(self):
        with self.log.open("wb") as log:
            argv = ["runc", "--root", self.folder / "state", "run", "--bundle", self.folder, self.id]
            self.process = subprocess.Popen([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self):
        return self.process.wait(2 * PATIENCE_S)

    def stop(self):
        """As a kubelet does it."""
        self.process.terminate()
        return self.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            subprocess.run(["runc", "--root", self.folder / "state", "delete", "--force", self.id], capture_output=True, timeout=60)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def pod(image, tmp_path):
    """pod(command, env=...) is a container of one machine's network, with one data folder for all."""
    machine = Machine("pod", tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, NONROOT, NONROOT)
    made = []

    def begin(*argv, mounts=None, env=()):
        """`mounts` are further ones, beside /var/lib/ca4 unless there is a None for it."""
        every = {"/var/lib/ca4": data} | (mounts or {})
        made.append(Container(image, machine, tmp_path, list(argv), {k: v for k, v in every.items() if v}, env).start())
        return made[-1]

    begin.machine = machine
    yield begin
    for container in made:
        container.close()
    machine.close()


def answers(pod, url):
    argv = pod.machine.inside("curl", "--silent", "--fail", "--max-time", "5", url)
    return subprocess.run(argv, capture_output=True, timeout=60).returncode == 0


def ready(pod):
    return answers(pod, "http://127.0.0.1:8000/readyz")


def post(pod, metadata_id):
    body = json.dumps(event(metadata_id))
    said = pod.machine.run("curl", "--silent", "--max-time", PATIENCE_S, "http://127.0.0.1:8000/metadata", "--json", body)
    assert json.loads(said)["status"] == "ok", said


def documents(pod):
    query = pod("ca4", "query", "--format", "ndjson", "--limit", "0")
    query.wait()
    return {json.loads(line)["metadata_id"]: json.loads(line) for line in query.said().splitlines() if line.startswith("{")}


def test_its_entry_point_and_command(image, pod):
    config = json.loads((image[1] / "config.json").read_text())
    assert config["process"]["args"] == ["/usr/bin/ca4", "--help"]
    assert (config["process"]["user"]["uid"], config["process"]["user"]["gid"]) == (NONROOT, NONROOT)
    version = pod("/usr/bin/ca4", "--version")
    assert version.wait() == 0, version.said()
    assert f"ca4 {image[0].stem.removeprefix('ca4-')}\n" in version.said()


def test_it_serves_works_and_produces_read_only_and_without_privileges(pod, tmp_path):
    serve, work = pod("ca4", "serve"), pod("ca4", "work")
    eventually(lambda: ready(pod), lambda: f"ready: {serve.said()} {work.said()}")
    post(pod, "posted")
    images = tmp_path / "images"
    images.mkdir()
    for photo in sorted(PHOTOS.glob("*"))[:3]:
        shutil.copy(photo, images)
    os.chown(images, NONROOT, NONROOT)  # the journal lies beside the pictures
    produce = pod(
        *("ca4", "produce", "/images", "--pipeline", "in-a-container"),
        mounts={"/images": images, "/model.onnx": MODEL},
        env=["CA4_PRODUCER_MODEL=/model.onnx", "CA4_PRODUCER_ENDPOINT=http://127.0.0.1:8000"],
    )
    assert produce.wait() == 0, produce.said()
    found = eventually(lambda: len(stored := documents(pod)) == 4 and stored, lambda: f"four documents: {work.said()}")
    assert "posted" in found
    assert sum(document["extra"]["pipeline"] == "in-a-container" for document in found.values()) == 3
    assert work.stop() == 0, work.said()
    assert serve.stop() == 0, serve.said()


def manifest(path, kind):
    """The document of that kind in a file of deploy/k8s."""
    return next(d for d in yaml.safe_load_all((ROOT / "deploy/k8s" / path).read_text()) if d["kind"] == kind)


def container_of(path, kind):
    (container,) = manifest(path, kind)["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize(
    ("path", "kind", "port"),
    [
        ("base/worker/deployment.yaml", "Deployment", "admin"),
        ("components/processor-ingress/processor.yaml", "StatefulSet", "http"),
    ],
)
def test_worker_and_processor_run_as_their_manifests_are_written(pod, tmp_path, path, kind, port):
    """With Kafka and the database away: they wait for them, and answer who asks whether they live."""
    container = container_of(path, kind)
    settings = manifest("base/worker/settings.yaml", "ConfigMap")["data"] | {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    env = settings | {variable["name"]: variable.get("value", "mongodb://127.0.0.1:1") for variable in container["env"]}
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "tokens").write_text("a-token-for-this-test\n")
    (tmp_path / "ca").mkdir()
    outside = {"/etc/ca4/tokens": tokens, "/etc/ca4/database-ca": tmp_path / "ca", "/var/lib/ca4": tmp_path / "data", "/tmp": None}
    mounts = {"/var/lib/ca4": None} | {mount["mountPath"]: outside[mount["mountPath"]] for mount in container["volumeMounts"]}
    program = pod(*container["command"], mounts=mounts, env=[f"{name}={value}" for name, value in env.items()])
    number = next(p["containerPort"] for p in container["ports"] if p["name"] == port)
    eventually(lambda: answers(pod, f"http://127.0.0.1:{number}/livez"), lambda: f"it lives: {program.said()}")
    assert program.stop() == 0, program.said()


def test_the_gpu_job_has_all_it_needs_where_its_manifest_says(pod, tmp_path):
    """On a CPU: which ONNX Runtime the image has makes no difference to the rest."""
    container = container_of("gpu-job/job.yaml", "Job")
    tokens, token, claim = tmp_path / "tokens", tmp_path / "token", tmp_path / "claim"
    (claim / "images").mkdir(parents=True)
    shutil.copy(next(PHOTOS.glob("*.png")), claim / "images")
    shutil.copy(MODEL, claim / "model.onnx")
    os.chown(claim, NONROOT, NONROOT)  # fsGroup
    tokens.mkdir()
    token.mkdir()
    made = run("token", "new", "--token-file", tokens / "tokens", "--name", "gpu-job")
    os.chown(tokens / "tokens", NONROOT, NONROOT)
    (token / "token").write_text(made.stdout)
    serve = pod("ca4", "up", mounts={"/etc/ca4/tokens": tokens}, env=["CA4_PROCESSOR_TOKEN_FILE=/etc/ca4/tokens/tokens"])
    eventually(lambda: ready(pod), lambda: f"ready: {serve.said()}")
    env = {variable["name"]: variable["value"] for variable in container["env"]} | {"CA4_PRODUCER_ENDPOINT": "http://127.0.0.1:8000"}
    outside = {"/data": claim, "/etc/ca4/token": token, "/tmp": None}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == set(outside)
    for sent in ("1 sent", "1 already sent"):
        job = pod(*container["command"], mounts=outside | {"/var/lib/ca4": None}, env=[f"{k}={v}" for k, v in env.items()])
        assert job.wait() == 0, job.said()
        assert sent in job.said(), job.said()


def test_without_a_place_to_write_it_says_so(image, pod, tmp_path):
    container = pod("ca4", "serve", env=["CA4_DATA_DIR=/usr/data"])
    assert container.wait() != 0
    assert "/usr/data" in container.said()
    assert "Read-only file system" in container.said()


def test_buildah_makes_the_same_of_the_containerfile(image, tmp_path):
    """Its last stage; the first one's work is in the place of a Debian image, which comes from a registry."""
    text = CONTAINERFILE.read_text()
    last = text[text.index("FROM scratch") :]
    (tmp_path / "Containerfile").write_text("FROM scratch AS build\nCOPY rootfs /rootfs\n" + last)
    buildah = ["buildah", "--root", tmp_path / "store", "--runroot", tmp_path / "run", "--storage-driver", "vfs"]
    command(*buildah, "build", "--isolation", "chroot", "--file", tmp_path / "Containerfile", "--tag", "ca4:t", image[0].parent)
    built = json.loads(command(*buildah, "inspect", "--type", "image", "ca4:t"))["OCIv1"]["config"]
    ours = json.loads(command("skopeo", "inspect", "--config", f"oci-archive:{image[0]}"))["config"]
    assert {key: built[key] for key in ours} == ours


def test_nothing_secret_goes_into_a_build():
    """The context is a list of what is needed, not of what is left out."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines[1:]}
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE.read_text(), re.MULTILINE))
    assert {name for names in copied for name in names.split()} == allowed


def test_without_an_engine_it_says_what_to_do(tmp_path):
    for tool in ("bash", "sed", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    said = subprocess.run(["bash", ROOT / "scripts/image.sh", "build"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert "make image-archive" in said.stderr
