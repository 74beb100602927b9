"""The Python package as a user has it: installed from its wheel into an environment of its own (scripts/test-wheel.sh)."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import ca4
import numpy
import pytest
import requests
from certificates import Authority
from PIL import Image
from support import BROKEN, MODEL, PATIENCE_S, PHOTOS, ROOT, documents, eventually, run, when_stored

NAMES = ["astronaut.png", "chelsea.png", "china.jpg", "chelsea-mirrored.webp"]
FILES = [str(PHOTOS / name) for name in NAMES]


@pytest.fixture(scope="session")
def model():
    return ca4.Model(MODEL)


@pytest.fixture
def producer(model, tmp_path):
    def make(server, **options):
        return ca4.Producer(server.url, model, journal=tmp_path / "journal", **options)

    return make


def cosines(a, b):
    return (a * b).sum(1) / numpy.linalg.norm(a, axis=1) / numpy.linalg.norm(b, axis=1)


def test_it_is_the_installed_one():
    assert ROOT / "build/wheel/venv" in Path(ca4.__file__).parents
    assert re.search(rf"project\(ca4 VERSION {re.escape(ca4.__version__)}", (ROOT / "CMakeLists.txt").read_text())


def test_gpu_info_has_the_contracts_fields():
    info = ca4.gpu_info()
    assert info["cpu_cores"] == os.cpu_count()
    if info["available"]:
        assert {"name", "total_memory_gb", "cuda_version", "pytorch_version", "cudnn_version"} <= info.keys()
    else:
        assert info["device"] == "cpu"
        assert info["reason"]


def test_onnx_runtime_keeps_no_book_of_its_use(tmp_path):
    code = "import ca4, sys; ca4.embed(sys.argv[2:], model=sys.argv[1])"
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, MODEL, *FILES], env=env, check=True)
    assert list(tmp_path.rglob("*")) == [], "its id of this machine, and what it would send"


def test_the_model_says_what_it_is(model):
    assert (model.name, model.dim, model.output) == ("efficientnet_lite0", 1280, "embedding")
    assert model.runtime.startswith("onnxruntime 1.")
    assert "efficientnet_lite0" in repr(model)


def reference(path):
    """torchvision's Resize(256), CenterCrop(224), ToTensor, Normalize, which are Pillow's, and ONNX Runtime's own answer."""
    import onnxruntime

    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    mean, std = (numpy.array([float(x) for x in metadata[f"ca4.{k}"].split(",")], numpy.float32) for k in ("mean", "std"))
    picture = Image.open(path).convert("RGB")
    short = min(picture.size)
    picture = picture.resize([256 * side // short for side in picture.size], Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in picture.size)
    pixels = numpy.asarray(picture.crop((left, top, left + 224, top + 224)), numpy.float32) / 255
    return session.run(["embedding"], {"image": ((pixels - mean) / std).transpose(2, 0, 1)[None]})[0][0]


def test_embeddings_of_every_photograph_are_those_of_pillow_and_onnx_runtime(model):
    paths = sorted(PHOTOS.iterdir())
    found = cosines(model.embed(paths), numpy.stack([reference(p) for p in paths]))
    assert len(found) > 60
    assert found.min() >= 0.9999, dict(zip([p.name for p in paths], found))


def test_paths_pictures_and_arrays_give_the_same(model):
    of_files = ca4.embed(FILES, model)
    assert of_files.shape == (4, 1280)
    assert of_files.dtype == numpy.float32
    pictures = [Image.open(path) for path in FILES]
    arrays = [numpy.asarray(p.convert("RGB")) for p in pictures]
    numpy.testing.assert_allclose(ca4.embed(pictures, model), of_files, rtol=1e-4, atol=1e-4)
    numpy.testing.assert_allclose(ca4.embed(arrays, model), of_files, rtol=1e-4, atol=1e-4)
    mixed = (image for image in [FILES[0], pictures[1], ("a name", arrays[2]), Path(FILES[3])])
    numpy.testing.assert_allclose(ca4.embed(mixed, model), of_files, rtol=1e-4, atol=1e-4)


def test_arrays_need_not_be_contiguous_nor_coloured(model):
    array = numpy.asarray(Image.open(FILES[1]).convert("RGB"))
    mirrored = numpy.asarray(Image.fromarray(array).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    numpy.testing.assert_array_equal(ca4.embed(array[:, ::-1], model), ca4.embed(mirrored, model))
    grey = numpy.asarray(Image.open(FILES[1]).convert("L"))
    numpy.testing.assert_array_equal(ca4.embed(grey, model), ca4.embed(numpy.stack([grey] * 3, 2), model))
    alpha = numpy.dstack([array, numpy.zeros_like(grey)])
    numpy.testing.assert_array_equal(ca4.embed(alpha, model), ca4.embed(array, model))


def test_one_path_and_a_folder_are_images_too(model, tmp_path):
    assert ca4.embed(FILES[0], model).shape == (1, 1280)
    for path in FILES:
        shutil.copy(path, tmp_path)
    assert ca4.embed(tmp_path, model).shape == (4, 1280)
    assert ca4.embed([FILES[0], FILES[0]], model).shape == (2, 1280)
    assert ca4.embed([], model).shape == (0, 1280)


def test_images_that_cannot_be_embedded_are_all_named(model):
    with pytest.raises(ca4.ImageError) as caught:
        ca4.embed([FILES[0], BROKEN / "truncated.jpg", "/nonexistent/cat.jpg"], model)
    assert [index for index, _, _ in caught.value.bad] == [1, 2]
    assert "truncated.jpg" in str(caught.value)
    with pytest.raises(ca4.ImageError, match="expected uint8"):
        ca4.embed([numpy.zeros((4, 4, 3), numpy.float32)], model)
    with pytest.raises(TypeError, match="image-0 is of type int"):
        ca4.embed([1], model)
    with pytest.raises(ZeroDivisionError):
        ca4.embed((1 // 0 for _ in range(1)), model)


def test_a_mistaken_picture_is_told_in_a_line(model):
    with pytest.raises(ca4.ImageError) as failed:
        ca4.embed([numpy.zeros((9, 9, 3), "f"), numpy.zeros((2, 9, 9, 3), "uint8")], model)
    reasons = [reason for _, _, reason in failed.value.bad]
    assert reasons == ["TypeError: an array of float32; expected uint8, 0 to 255", "TypeError: an array of shape (2, 9, 9, 3); expected (height, width, 3)"]


def test_as_many_rows_as_files_whatever_their_names(model, tmp_path):
    shutil.copy(FILES[1], tmp_path / "cat[1].png")
    assert ca4.embed([tmp_path / "cat[1].png", FILES[1], FILES[1]], model).shape == (3, 1280)


@pytest.mark.parametrize("batch", [0, -1, 5000])
def test_a_batch_of_no_images_is_refused(model, batch):
    with pytest.raises(ValueError, match="batch: .* is not between 1 and 4096"):
        ca4.embed(FILES, model, batch=batch)
    with pytest.raises(ValueError, match="batch"):
        ca4.Producer("http://127.0.0.1:1", model, batch=batch)


def test_what_makes_no_sense_is_told_by_its_name(model):
    def make(**options):
        return ca4.Producer("http://127.0.0.1:1", model, **options)

    for options in ({"in_flight_max": 0}, {"retry_for_s": float("inf")}, {"retry_for_s": -1}, {"retry_for_s": float("nan")}):
        with pytest.raises(ValueError, match=f"{[*options][0]}: .* is not between"):
            make(**options)
    for options in ({"batch": "8"}, {"batch": 8.5}, {"retry_for_s": "long"}):
        with pytest.raises(TypeError, match=f"{[*options][0]}: expected"):
            make(**options)
    with pytest.raises(ValueError, match="endpoint"):
        ca4.Producer(None, model)
    assert make(pipeline=None, notes=None, tags=None).model is model


def test_a_model_that_cannot_be_had_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nonexistent.onnx"):
        ca4.Model("/nonexistent.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match="text.onnx"):
        ca4.Model(tmp_path / "text.onnx")
    with pytest.raises(FileNotFoundError, match="libc.so.6 is not ONNX Runtime"):
        ca4.Model(MODEL, ort="libc.so.6")
    with pytest.raises(ValueError, match="auto, cpu or cuda"):
        ca4.Model(MODEL, device="tpu")


def test_a_gpu_that_is_not_there_is_a_clear_error():
    if not ca4.gpu_info()["available"]:
        with pytest.raises(ValueError, match="no GPU to run on"):
            ca4.Model(MODEL, device="cuda")


def test_float16_models_give_nearly_the_same(model, tmp_path):
    from onnxruntime.transformers.float16 import convert_float_to_float16
    import onnx

    half = convert_float_to_float16(onnx.load(MODEL))
    onnx.save(half, tmp_path / "half.onnx")
    assert cosines(ca4.embed(FILES, tmp_path / "half.onnx"), model.embed(FILES)).min() > 0.999


def test_a_run_becomes_documents_and_a_second_one_sends_nothing(up, producer):
    server = up()
    mine = producer(server, pipeline="p", tags=["one"], notes="n")
    summary = mine.run([PHOTOS / NAMES[0], ("my cat", Image.open(FILES[1])), *FILES[2:]], progress=False)
    assert (summary.images, summary.sent, summary.already_sent, summary.skipped) == (4, 4, 0, [])
    assert summary
    assert 0 < summary.model_busy_share <= 1
    assert summary.timeline[-1]["images"] == 4
    eventually(lambda: run("query", "--data-dir", server.data_dir, "--count").stdout.strip() == "4", "4 documents")
    found = {d["source_uri"]: d for d in documents(server.data_dir)}
    assert found.keys() == {f"file://{FILES[0]}", "memory:my%20cat", f"file://{FILES[2]}", f"file://{FILES[3]}"}
    cat = found["memory:my%20cat"]
    assert cat["extra"]["tags"] == ["one"]
    assert cat["pipeline"] == "p"
    assert cat["gpu_hardware"].keys() == ca4.gpu_info().keys()
    again = mine.run([PHOTOS / NAMES[0], ("other name", Image.open(FILES[1])), *FILES[2:]], progress=False)
    assert (again.sent, again.already_sent) == (0, 4)


def test_skipped_images_are_listed(up, producer):
    summary = producer(up()).run([FILES[0], BROKEN / "empty.png"], progress=False)
    assert not summary
    assert summary.sent == 1
    ((path, reason),) = summary.skipped
    assert path == str(BROKEN / "empty.png")
    assert reason
    assert str(summary).startswith("2 images: 1 sent, 1 skipped in ")
    assert str(summary).endswith(f"\nskipped:\n  {path}: {reason}")  # what a notebook prints


def test_a_file_of_an_iterator_that_is_gone_hurts_no_neighbour(up, producer):
    server = up()
    mine = producer(server, tags="one", id_template="{stem}")
    summary = mine.run((path for path in [FILES[0], "/gone/cat.png", FILES[1]]), progress=False)
    assert (summary.sent, [name for name, _ in summary.skipped]) == (2, ["/gone/cat.png"])
    stored = when_stored(server.data_dir, {"astronaut", "chelsea"})
    assert all(document["extra"]["tags"] == ["one"] for document in stored.values())


def test_the_token_is_sent_and_a_wrong_one_is_a_clear_error(up, producer, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-for-this-test\n")
    server = up("--token-file", tokens)
    with pytest.raises(ca4.ProducerError, match="401") as caught:
        producer(server, token="another-token-1234").run(FILES, progress=False)
    assert caught.value.summary.sent == 0
    assert producer(server, token="a-token-for-this-test\n").run(FILES, progress=False).sent == 4


def test_nobody_there_is_given_up_when_told_so(producer, model, tmp_path):
    with pytest.raises(ca4.ProducerError, match="knows what was sent"):
        ca4.Producer("http://127.0.0.1:9", model, journal=tmp_path / "j", retry_for_s=0).run(FILES, progress=False)
    with pytest.raises(ValueError, match="expected http://HOST:PORT"):
        ca4.Producer("127.0.0.1:8000", model)


def test_what_is_pasted_may_have_blanks_around_it_and_none_in_it(up, model, tmp_path):
    server = up()
    mine = ca4.Producer(f" {server.url}\n", model, token=" a-token \n", journal=tmp_path / "j")
    assert mine.run(FILES[:1], progress=False).sent == 1
    for token in ("two words", "a\r\nX-Evil: 1", "ü"):
        with pytest.raises(ValueError, match="ca4 token new") as caught:
            ca4.Producer(server.url, model, token=token)
        assert token not in str(caught.value)


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(up, model, tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("localhost")
    server = up("--tls-cert-file", certificate, "--tls-key-file", key)
    url, journal = server.url.replace("127.0.0.1", "localhost"), tmp_path / "j"
    with pytest.raises(ca4.ProducerError, match="ca_file="):
        ca4.Producer(url, model, journal=journal, retry_for_s=0).run(FILES[:1], progress=False)
    assert ca4.Producer(url, model, journal=journal, ca_file=authority.cert_file).run(FILES[:1], progress=False).sent == 1
    with pytest.raises(ValueError, match="ca_file .*no certificate in it"):
        ca4.Producer(url, model, ca_file=MODEL)


def test_pictures_of_kinds_that_are_not_read_are_warned_of(model, tmp_path):
    shutil.copy(FILES[0], tmp_path)
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"left out \(1 \.heic\)"):
        assert ca4.embed(tmp_path, model).shape == (1, 1280)


def test_file_names_may_be_any_bytes(up, producer, model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(FILES[0], bytes(folder) + b"/Gr\xf6\xdfe.png")  # Latin-1, of an old disk
    shutil.copy(BROKEN / "empty.png", bytes(folder) + b"/\xff\x1b[31m.png")
    summary = producer(up()).run(folder, progress=False)
    assert summary.sent == 1
    ((path, _),) = summary.skipped
    assert os.fsencode(path) == bytes(folder) + b"/\xff\x1b[31m.png"
    assert r"\udcff\x1b[31m.png: " in str(summary).encode().decode()  # can be printed
    assert ca4.embed([os.fsdecode(bytes(folder) + b"/Gr\xf6\xdfe.png")], model).shape == (1, 1280)
    done = command("produce", bytes(folder) + b"/Gr\xf6\xdfe.png", "--model", "/nonexistent.onnx", cwd=tmp_path)
    assert "/nonexistent.onnx" in done.stderr


def noise(number):
    for i in range(number):
        yield f"noise-{i}", numpy.random.default_rng(i).integers(0, 255, (240, 240, 3), "uint8")


def test_a_run_waits_for_an_endpoint_that_goes_away(up, serve, producer, caplog):
    server = up()
    mine = producer(server, batch=2, id_template="{stem}")
    outcome = {}
    thread = threading.Thread(target=lambda: outcome.update(summary=mine.run(noise(40), progress=False)))
    thread.start()
    journal = Path(mine.journal)
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 4, "some images are noted")
    server.kill()
    noted = len(journal.read_bytes().splitlines())
    eventually(lambda: "waiting for the processor (" in caplog.text, "who has no bar is told too")  # nothing may be noted meanwhile
    assert len(journal.read_bytes().splitlines()) <= noted + 2
    assert thread.is_alive()
    server = serve("up", server.data_dir, listen="{}:{}".format(*server.address))
    thread.join(2 * PATIENCE_S)
    assert "the processor takes events again, after 0:" in caplog.text
    assert outcome["summary"].sent == 40
    assert when_stored(server.data_dir, [f"noise-{i}" for i in range(40)]).keys() == {f"noise-{i}" for i in range(40)}


SCRIPT = """
import sys, numpy, ca4
def noise(number):
    for i in range(number):
        yield f"noise-{i}", numpy.random.default_rng(i).integers(0, 255, (240, 240, 3), "uint8")
endpoint, model, journal = sys.argv[1:]
print(ca4.Producer(endpoint, model, journal=journal, batch=2, id_template="{stem}").run(noise(60), progress=False))
"""


def a_run(url, journal):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, url, MODEL, journal], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_ended_goes_on_and_every_image_is_there_once(up, tmp_path, end):
    server = up()
    journal = tmp_path / "journal"
    first = a_run(server.url, journal)
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 4, "some images are noted")
    first.send_signal(end)
    _, said = first.communicate(timeout=PATIENCE_S)
    noted = len(journal.read_bytes().splitlines())
    assert noted < 60, "the run was over before it was ended"
    if end == signal.SIGINT:
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert f": {noted} sent" in said
        assert f"go on: {journal} knows" in said
    second = a_run(server.url, journal)
    printed, said = second.communicate(timeout=2 * PATIENCE_S)
    assert f"{60 - noted} sent, {noted} already sent" in printed, said
    assert when_stored(server.data_dir, [f"noise-{i}" for i in range(60)]).keys() == {f"noise-{i}" for i in range(60)}


def test_ctrl_c_ends_a_run_whose_processor_says_nothing(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = a_run("http://127.0.0.1:{}".format(silent.getsockname()[1]), tmp_path / "journal")
        connection, _ = silent.accept()
        began = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=PATIENCE_S)
        connection.close()
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert time.monotonic() - began < 30, "it waited for the answer's time-out"


WAITING = """
import queue, sys, ca4
def images():
    yield sys.argv[2]
    print("waiting", flush=True)
    queue.Queue().get()
ca4.embed(images(), sys.argv[1])
"""


def test_ctrl_c_reaches_an_iterator_that_waits():
    program = subprocess.Popen([sys.executable, "-c", WAITING, MODEL, FILES[0]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGINT)
    try:
        _, said = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_an_iterator_is_asked_by_the_thread_that_calls(model):
    database = sqlite3.connect(":memory:")  # which no other thread may use
    rows = database.execute("select value from json_each(?)", [json.dumps(FILES)])
    assert ca4.embed((path for (path,) in rows), model).shape == (4, 1280)


def test_what_an_iterator_raises_ends_the_call(up, producer):
    def images():
        yield FILES[0]
        raise LookupError("no more of these")

    with pytest.raises(LookupError, match="no more of these"):
        producer(up()).run(images(), progress=False)


def test_other_threads_run_while_it_works(model):
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.wait(0.005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    before = len(ticks)
    ca4.embed([image for _, image in noise(32)], model)
    stop.set()
    thread.join()
    assert len(ticks) - before > 5


@pytest.mark.parametrize("tqdm", [True, False])
def test_progress_is_drawn(model, capsys, monkeypatch, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    ca4.embed(FILES, model, progress=True)
    assert "4/4" in capsys.readouterr().err


def command(*words, **keywords):
    program = Path(sys.executable).parent / "ca4"
    return subprocess.run([program, *(w if isinstance(w, bytes) else str(w) for w in words)], capture_output=True, text=True, timeout=PATIENCE_S, **keywords)


def test_the_command_is_the_binarys(up, tmp_path):
    server = up()
    done = command("produce", *FILES, "--endpoint", server.url, "--model", MODEL, "--journal", tmp_path / "j", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 images: 4 sent" in done.stdout
    help_of_binary = subprocess.run([ROOT / "build/release/ca4", "produce", "--help"], capture_output=True, text=True).stdout.splitlines()
    help_here = command("produce", "--help").stdout.splitlines()
    assert set(help_here) <= set(help_of_binary)
    # The package has no HTTP server in it, and so no admin port.
    only_there = " ".join(line for line in help_of_binary if line not in help_here)
    assert re.findall(r" (--[a-z-]+)", only_there) == ["--data-dir", "--admin-listen", "--admin-token-file"]
    assert command("--version").stdout.strip() == f"ca4 {ca4.__version__}"
    assert command("produce", FILES[0]).returncode == 2
    module = subprocess.run([sys.executable, "-m", "ca4", "--version"], capture_output=True, text=True)
    assert module.stdout.strip() == f"ca4 {ca4.__version__}"


def test_the_command_ends_on_ctrl_c_as_the_binary_does(up, tmp_path):
    server = up()
    (tmp_path / "many").mkdir()
    for name, pixels in noise(60):
        Image.fromarray(pixels).save(tmp_path / "many" / f"{name}.png")
    journal = tmp_path / "j"
    words = ["produce", tmp_path / "many", "--endpoint", server.url, "--model", MODEL, "--journal", journal, "--batch", "2"]
    program = subprocess.Popen([Path(sys.executable).parent / "ca4", *map(str, words)], stdout=subprocess.PIPE, text=True)
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 4, "some images are noted")
    program.send_signal(signal.SIGINT)
    printed, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 1
    assert f"Run the same command again to go on: {journal}" in printed


def test_the_requests_only_cell_of_the_page_works(up):
    """The five lines for people who want no package, as docs/producer.md has them."""
    server = up()
    page = (ROOT / "docs/producer.md").read_text()
    (cell,) = re.findall(r"```python\n(import requests\n.*?)```", page, re.DOTALL)
    assert len(cell.strip().splitlines()) == 5
    cell = cell.replace("https://name.ngrok-free.app", server.url).replace("THE-TOKEN", "any-token-will-do-here")
    names = {"vector": numpy.arange(4, dtype="f"), "path": "/photos/cat.jpg"}
    exec(cell, names)
    assert when_stored(server.data_dir, [names["metadata_id"]])


def test_what_older_notebooks_send_is_still_taken(up):
    """The payload of the notebook that came before the package, by the wire contract."""
    server = up()
    payload = {
        "metadata_id": f"img-cat-{int(time.time())}", "source_uri": "/content/images/cat.jpg",
        "embedding": numpy.random.default_rng(1).standard_normal(2048).tolist(),
        "gpu_hardware": {"available": True, "device": "cuda", "name": "Tesla T4", "total_memory_gb": 14.74, "multi_processor_count": 40,
                         "cuda_compute_capability": "7.5", "memory_allocated_mb": 97.7, "memory_reserved_mb": 120.0,
                         "cuda_version": "12.1", "pytorch_version": "2.3.0+cu121", "cudnn_version": 8902},
        "extra": {"pipeline": "colab-gpu", "notes": "ResNet50", "gpu_hardware": {"available": True}},
    }
    answer = requests.post(f"{server.url}/metadata", json=payload, timeout=30)
    answer.raise_for_status()
    assert answer.json()["status"] == "ok"
    document = when_stored(server.data_dir, [payload["metadata_id"]])[payload["metadata_id"]]
    assert document["embedding_dim"] == 2048
    assert document["gpu_hardware"] == payload["gpu_hardware"]
    assert json.loads(json.dumps(document))["extra"]["notes"] == "ResNet50"
