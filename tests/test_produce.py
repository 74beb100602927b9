"""`ca4 produce`: from image files to stored documents."""

import json
import shutil
import signal
import time

import numpy
import pytest
from certificates import Authority
from name_server import NameServer
from PIL import Image
from server_process import free_port
from support import BROKEN, MODEL, PHOTOS, PATIENCE_S, documents, eventually, nvidia_driver, run, when_stored
from test_worker import keys_in_log

# What a killed run may have sent without noting it, and so sends again: four requests (producer.in_flight_max), here of two images each.
IN_FLIGHT = 8
NAMES = ["astronaut.png", "chelsea.png", "china.jpg", "chelsea-mirrored.webp"]


@pytest.fixture
def photos(tmp_path):
    """A folder of four real photographs in three formats, one in a folder below."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in NAMES[:3]:
        shutil.copy(PHOTOS / name, folder)
    shutil.copy(PHOTOS / NAMES[3], folder / "below")
    return folder


@pytest.fixture
def arguments(tmp_path):
    """What every run of one test has in common."""

    def make(path, url, *flags, journal="journal"):
        return ["produce", path, "--endpoint", url, "--model", MODEL, "--journal", tmp_path / journal, *flags]

    return make


def many_images(folder, number):
    """Noise in files named 0.png, 1.png, ...: enough of them that a run can be caught in the middle."""
    folder.mkdir()
    for i in range(number):
        noise = numpy.random.default_rng(i).integers(0, 255, (240, 240, 3), "uint8")
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


def wait_for_documents(server, number):
    def count():
        result = run("query", "--data-dir", server.data_dir, "--count")
        return result.returncode == 0 and int(result.stdout) == number

    eventually(count, f"{number} documents")
    return documents(server.data_dir, "--with-embedding")


def test_images_become_documents(up, ca4, photos, arguments):
    server = up()
    flags = ["--pipeline", "t", "--tag", "one", "--tag", "two", "--notes", "from a test"]
    result = ca4(*arguments(photos, server.url, *flags))
    assert result.returncode == 0, result.stderr
    found = {d["source_uri"].rsplit("/", 1)[1]: d for d in wait_for_documents(server, 4)}
    assert found.keys() == set(NAMES)
    for document in found.values():
        assert document["source_uri"].startswith("file:///")
        assert document["extra"]["pipeline"] == document["pipeline"] == "t"
        assert document["extra"]["tags"] == ["one", "two"]
        assert document["extra"]["notes"] == "from a test"
        assert document["model_name"] == "efficientnet_lite0"
        assert document["embedding_dim"] == len(document["embedding"]) == 1280
        assert numpy.isfinite(document["embedding"]).all()
        assert len(set(document["embedding"])) > 100
        assert "available" in document["gpu_hardware"]


def test_without_a_gpu_the_block_says_so_and_names_the_cpu(up, ca4, photos, arguments):
    server = up()
    assert ca4(*arguments(photos / NAMES[0], server.url), env={"CUDA_VISIBLE_DEVICES": ""}).returncode == 0
    (document,) = wait_for_documents(server, 1)
    gpu = document["gpu_hardware"]
    if gpu["available"]:
        assert gpu["device"].startswith("cuda") and gpu["name"]
    else:
        assert gpu["device"] == "cpu"
        assert gpu["reason"]


def test_with_a_gpu_each_event_carries_its_details_and_how_it_was_at_the_time(up, ca4, photos, arguments, tmp_path):
    """The whole run with a library in the driver's place: what it says goes through producer, processor and worker."""
    server = up()
    result = ca4(*arguments(photos, server.url, "--device", "cpu"), env=nvidia_driver(tmp_path / "driver"))
    assert result.returncode == 0, result.stderr
    for document in wait_for_documents(server, 4):
        gpu = document["gpu_hardware"]
        assert gpu["available"] is True and gpu["name"] == "NVIDIA H200"
        assert gpu["cuda_compute_capability"] == "9.0" and gpu["driver_version"] == "550.54.15"
        assert gpu["device_count"] == 2 and len(gpu["devices"]) == 2
        assert {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE"} <= gpu["metrics"].keys()


def test_a_second_run_sends_nothing(up, ca4, photos, arguments):
    server = up()
    assert "4 sent" in ca4(*arguments(photos, server.url)).stdout
    again = ca4(*arguments(photos, server.url))
    assert again.returncode == 0
    assert "0 sent, 4 already sent" in again.stdout
    wait_for_documents(server, 4)


def test_the_same_content_is_one_document_whatever_its_name_or_journal(up, ca4, photos, arguments):
    server = up()
    shutil.copy(photos / NAMES[0], photos / "another-name.png")
    assert ca4(*arguments(photos, server.url)).returncode == 0
    assert ca4(*arguments(photos, server.url, journal="other")).returncode == 0
    wait_for_documents(server, 4)


def test_ids_follow_the_template(up, ca4, photos, arguments):
    server = up()
    assert ca4(*arguments(photos, server.url, "--id-template", "img-{stem}")).returncode == 0
    when_stored(server.data_dir, ["img-" + name.rsplit(".", 1)[0] for name in NAMES])


def test_a_killed_run_goes_on_and_every_image_is_there_once(up, start, ca4, tmp_path, arguments):
    server = up()
    folder = many_images(tmp_path / "many", 60)
    journal = tmp_path / "journal"
    command = arguments(folder, server.url, "--batch", "2", "--id-template", "{stem}")
    first = start(*command)
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 5, "some images are noted")
    first.signal(signal.SIGKILL)
    first.wait()
    noted = len(journal.read_bytes().splitlines())
    assert noted < 60, "the run was over before it was killed"
    second = ca4(*command)
    assert second.returncode == 0, second.stderr
    assert f"{noted} already sent" in second.stdout
    assert {d["metadata_id"] for d in wait_for_documents(server, 60)} == {str(i) for i in range(60)}
    assert 60 <= len(keys_in_log(server.data_dir)) <= 60 + IN_FLIGHT


def test_a_new_machine_goes_on_where_a_dead_one_was_with_nothing_but_the_journal(up, start, ca4, tmp_path, arguments):
    server = up()
    folder = many_images(tmp_path / "many", 60)
    journal = tmp_path / "journal"
    first = start(*arguments(folder, server.url, "--batch", "2"))
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 5, "some images are noted")
    first.signal(signal.SIGKILL)
    first.wait()
    # Another folder for the images and for the journal, whose last line the dead machine may not have finished.
    (tmp_path / "new").mkdir()
    folder.rename(tmp_path / "new/images")
    torn = journal.read_bytes()[:-3]
    (tmp_path / "new/journal").write_bytes(torn)
    journal.unlink()
    second = ca4(*arguments(tmp_path / "new/images", server.url, "--batch", "2", journal="new/journal"))
    assert second.returncode == 0, second.stderr
    noted = torn.count(b"\n")
    assert 5 <= noted + 1 < 60, "the run was over before it was killed"
    assert f"{60 - noted} sent, {noted} already sent" in second.stdout
    wait_for_documents(server, 60)
    # With the image of the line that the dead machine did not finish.
    assert 60 <= len(keys_in_log(server.data_dir)) <= 60 + IN_FLIGHT + 1


def test_sigint_ends_a_run_early_and_says_how_to_go_on(up, start, tmp_path, arguments):
    server = up()
    folder = many_images(tmp_path / "many", 60)
    journal = tmp_path / "journal"
    program = start(*arguments(folder, server.url, "--batch", "2"))
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 2, "some images are noted")
    program.signal(signal.SIGINT)
    assert program.wait() == 1
    assert str(journal) in program.printed()


def test_a_broken_image_is_reported_and_skipped(up, ca4, photos, arguments):
    server = up()
    for name in ("truncated.jpg", "empty.png", "bomb.png"):
        shutil.copy(BROKEN / name, photos)
    result = ca4(*arguments(photos, server.url))
    assert result.returncode == 1
    assert "4 sent, 3 skipped" in result.stdout
    for name in ("truncated.jpg", "empty.png", "bomb.png"):
        assert f"skipped {photos / name}: " in result.stderr
    wait_for_documents(server, 4)


def test_what_a_run_came_to_is_there_for_programs_too(up, ca4, photos, arguments):
    shutil.copy(BROKEN / "empty.png", photos)
    result = ca4(*arguments(photos, up().url, "--json"))
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    came_to = json.loads(line)
    assert [came_to[n] for n in ("images", "sent", "already_sent", "failure")] == [5, 4, 0, None]
    assert [s["path"] for s in came_to["skipped"]] == [str(photos / "empty.png")]
    nobody = ca4(*arguments(photos, f"http://127.0.0.1:{free_port()}", "--retry-for-s", "0", "--json", journal="other"))
    assert "Couldn't connect" in json.loads(nobody.stdout)["failure"]


def test_a_server_that_comes_later_is_waited_for(serve, start, photos, arguments, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    program = start(*arguments(photos, f"http://{address}"))
    eventually(lambda: "waiting for the processor (" in program.said(), "it says what it waits for")
    assert program.runs()  # it goes on trying
    server = serve("up", tmp_path / "data", listen=address)
    assert program.wait(2 * PATIENCE_S) == 0, program.said()
    assert "Couldn't connect" in program.said()
    assert "the processor takes events again, after 0:" in program.said()
    wait_for_documents(server, 4)


def test_a_server_that_restarts_in_between_loses_nothing(up, serve, start, tmp_path, arguments):
    folder = many_images(tmp_path / "many", 60)
    server = up()
    journal = tmp_path / "journal"
    program = start(*arguments(folder, server.url, "--batch", "2"))
    eventually(lambda: journal.exists() and len(journal.read_bytes().splitlines()) >= 4, "some images are noted")
    server.kill()
    server = serve("up", server.data_dir, listen="{}:{}".format(*server.address))
    assert program.wait(2 * PATIENCE_S) == 0, program.said()
    wait_for_documents(server, 60)


def test_a_server_that_never_comes_is_given_up(ca4, photos, arguments):
    result = ca4(*arguments(photos, f"http://127.0.0.1:{free_port()}", "--retry-for-s", "0"))
    assert result.returncode == 1
    assert "Run the same command again to go on" in result.stdout


def test_a_name_server_that_does_not_answer_is_not_waited_for(ca4, photos, arguments, tmp_path):
    silent = NameServer({})
    started = time.monotonic()
    result = ca4(*arguments(photos, "http://processor.ca4.test:8000", "--retry-for-s", "0"), prefix=silent.wrap(tmp_path, timeout_s=30))
    silent.stop()
    assert "Resolving timed out" in result.stderr
    assert time.monotonic() - started < 25  # not the resolver's 30 s, and more with several servers


def test_onnx_runtime_keeps_no_book_of_its_use(up, ca4, photos, arguments, tmp_path):
    server, home = up(), tmp_path / "home"
    home.mkdir()
    result = ca4(*arguments(photos, server.url), env={"HOME": str(home)})
    assert result.returncode == 0, result.stderr
    assert list(home.rglob("*")) == [], "its id of this machine, and what it would send"


def test_no_progress_bar_is_drawn_where_there_is_no_terminal(up, ca4, photos, arguments):
    result = ca4(*arguments(photos, up().url))
    assert "\r" not in result.stdout + result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert result.stderr == ""


def test_a_token_is_sent(up, ca4, photos, arguments, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-for-this-test\n")
    server = up("--token-file", tokens)
    refused = ca4(*arguments(photos, server.url))
    assert refused.returncode == 1
    assert "401" in refused.stderr
    assert ca4(*arguments(photos, server.url, "--token-file", tokens)).returncode == 0
    wait_for_documents(server, 4)


@pytest.fixture
def own_authority(tmp_path, up):
    """A processor whose certificate comes from an authority that nobody else trusts."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("localhost")
    server = up("--tls-cert-file", certificate, "--tls-key-file", key)
    server.url = server.url.replace("127.0.0.1", "localhost")
    return server, authority


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(own_authority, ca4, photos, arguments, tmp_path):
    server, authority = own_authority
    unknown = ca4(*arguments(photos, server.url, "--retry-for-s", "0"))
    assert unknown.returncode == 1
    assert "--ca-file FILE" in unknown.stderr
    stranger = Authority(tmp_path / "other", "somebody else").cert_file
    assert ca4(*arguments(photos, server.url, "--retry-for-s", "0", "--ca-file", stranger)).returncode == 1
    known = ca4(*arguments(photos, server.url, "--ca-file", authority.cert_file))
    assert known.returncode == 0, known.stderr
    wait_for_documents(server, 4)
    none = ca4(*arguments(photos, server.url, "--ca-file", MODEL))
    assert none.returncode == 78
    assert f"producer.ca_file: {MODEL}: no certificate in it" in none.stderr
    # The checks have the same setting.
    where = ["verify", "preflight", "workflow", "--until", "database", "--data-dir", server.data_dir, "--endpoint", server.url]
    assert "--ca-file FILE" in ca4(*where).stdout
    checked = ca4(*where, env={"CA4_PRODUCER_CA_FILE": str(authority.cert_file)})
    assert checked.returncode == 0, checked.stdout
    assert "FAIL ca-file" in ca4(*where, "--ca-file", MODEL).stdout


def test_file_names_may_be_any_bytes_and_do_not_steer_the_terminal(up, ca4, tmp_path, arguments):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTOS / NAMES[0], bytes(folder) + b"/Gr\xf6\xdfe.png")  # Latin-1, of an old disk
    shutil.copy(BROKEN / "empty.png", folder / "red\x1b[31m.png")
    server = up()
    result = ca4(*arguments(folder, server.url, "--id-template", "{stem}"))
    assert "1 sent, 1 skipped" in result.stdout, result.stderr
    assert rf"skipped {folder}/red\x1b[31m.png: " in result.stderr
    (document,) = wait_for_documents(server, 1)
    assert document["source_uri"].endswith("/Gr%F6%DFe.png")


def test_a_journal_that_is_something_else_stays_as_it_is(ca4, photos, arguments):
    before = (photos / NAMES[2]).read_bytes()
    result = ca4("produce", photos, "--model", MODEL, "--journal", photos / NAMES[2])
    assert result.returncode == 2
    assert "--journal" in result.stderr
    assert (photos / NAMES[2]).read_bytes() == before


def test_numbers_one_by_one_give_the_same_documents(up, ca4, photos, arguments):
    server = up()
    assert ca4(*arguments(photos, server.url, "--id-template", "a-{stem}")).returncode == 0
    other = ["--id-template", "b-{stem}", "--one-by-one"]
    assert ca4(*arguments(photos, server.url, *other, journal="other")).returncode == 0
    found = {d["metadata_id"]: d["embedding"] for d in wait_for_documents(server, 8)}
    for name in NAMES:
        stem = name.rsplit(".", 1)[0]
        assert found[f"a-{stem}"] == found[f"b-{stem}"]


def test_no_model_is_a_usage_error(ca4, photos):
    assert ca4("produce", photos).returncode == 2


def test_what_never_began_leaves_no_journal(ca4, photos, tmp_path):
    for model in (tmp_path / "none.onnx", photos / NAMES[0]):
        assert ca4("produce", photos, "--model", model, "--journal", tmp_path / "journal").returncode == 1
    assert not (tmp_path / "journal").exists()


def test_a_path_that_gives_nothing_is_told(ca4, tmp_path):
    result = ca4("produce", tmp_path / "none.jpg", "--model", MODEL, "--journal", tmp_path / "j")
    assert result.returncode == 1
    assert "none.jpg" in result.stderr
