"""The command line: help, exit codes, configuration mistakes, completion, logs, query's formats."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import BINARY, ENVIRONMENT, ROOT, documents, event, eventually, run

COMMANDS = [
    "up", "serve", "work", "produce", "query", "log", "dlq", "replay", "tunnel", "verify", "db", "topics", "spool", "token",
    "config", "completion",
]  # fmt: skip


def test_version_is_one_line(ca4):
    result = ca4("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"ca4 \d+\.\d+\.\d+\S*\n", result.stdout)


def test_help_lists_every_command(ca4):
    result = ca4("--help")
    assert result.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command}\s+\S", result.stdout, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_explains_each_flag(ca4, command):
    result = ca4(command, "--help")
    assert result.returncode == 0
    assert result.stderr == ""
    assert f"Usage: ca4 {command}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    entries = re.split(r"^  (?=-)", result.stdout, flags=re.MULTILINE)[1:]
    assert entries, "no flag at all"
    for entry in entries:
        words = re.sub(r"^(-\S+,? ?)+(\S*[A-Z|]\S*)?(\s+REQUIRED)?", "", entry).split()
        assert len(words) >= 2, f"unexplained: {entry!r}"


@pytest.mark.parametrize("command", ["up", "serve"])
def test_help_of_the_servers_has_every_setting_of_the_processor(ca4, command):
    settings = json.loads(ca4("config", "--format", "json").stdout)["settings"]
    text = ca4(command, "--help").stdout
    names = [s["name"].removeprefix("processor.") for s in settings if s["name"].startswith("processor.")]
    assert len(names) > 10
    for name in names:
        assert re.search(rf"^  --{name.replace('_', '-')}[ ,]", text, re.MULTILINE), name


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["nonsense", "--help"], ["up", "--nonsense"], ["up", "extra"], ["up", "--listen"]]
    + [["query", "--format", "xml"]]
    + [["up", "--listen", "nowhere"], ["up", "--threads", "many"], ["up", "--threads", "-1"]]
    + [["produce"], ["dlq"], ["query", "-k", "0", "--similar", "x"], ["query", "--since", "soon"]]
    + [["query", flag, ""] for flag in ("--id", "--pipeline", "--device", "--model", "--since", "--similar")],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2_and_explained(ca4, arguments):
    result = ca4(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr


@pytest.mark.parametrize("wrong, meant", [("quary", "query"), ("prodce", "produce")])
def test_a_misspelt_command_gets_a_suggestion(ca4, wrong, meant):
    assert meant in ca4(wrong).stderr


@pytest.fixture
def toml(tmp_path):
    def write(text):
        file = tmp_path / "ca4.toml"
        file.write_text(text)
        return file

    return write


@pytest.mark.parametrize(
    "text, place, caret_under, hint",
    [
        ('[processor]\nlisen = "127.0.0.1:8000"\n', "2:1", "lisen", "listen"),
        ("[processor]\nthreads = 1000\n", "2:11", "1000", "256"),
        ('[processor]\nthreads = "four"\n', "2:11", '"four"', ""),
        ("[procesor]\n", "1:2", "procesor", "processor"),
        ("[processor]\nthreads = \n", "2:", "", ""),
    ],
)
@pytest.mark.parametrize("command", ["up", "config"])
def test_a_mistake_in_the_file_is_78_with_its_place(ca4, toml, tmp_path, command, text, place, caret_under, hint):
    file = toml(text)
    flags = ["--listen", "127.0.0.1:0", "--data-dir", tmp_path / "d"] if command == "up" else ["validate", file]
    result = ca4(command, *flags, *(["--config", file] if command == "up" else []))
    assert result.returncode == 78, result.stderr
    lines = (result.stderr or result.stdout).splitlines()
    at = next(i for i, line in enumerate(lines) if f"{file}:{place}" in line)
    assert lines[at + 1] == text.splitlines()[int(place.split(":")[0]) - 1]
    if caret_under:
        assert lines[at + 1].index(caret_under) == lines[at + 2].index("^")
    assert hint in "\n".join(lines)


@pytest.mark.parametrize("command", [["up"], ["serve"], ["work"], ["query"], ["db", "ping"]])
def test_a_mongo_uri_that_is_none_is_78_and_not_printed(ca4, tmp_path, command):
    env = {"MONGO_URI": "ann:s3cret@db:27017", "CA4_DATA_DIR": str(tmp_path / "data")}
    result = ca4(*command, env=env)
    assert result.returncode == 78
    assert "MONGO_URI" in result.stderr
    assert "s3cret" not in result.stderr


def test_database_and_collection_name_the_store(serve, ca4, tmp_path):
    names = {"MONGO_DB": "other", "MONGO_COLLECTION": "docs.v2"}
    server = serve("up", tmp_path, env=names)
    server.accept(event("a"))

    def ids(*flags, env=None):
        result = ca4("query", "--data-dir", tmp_path, "--format", "ndjson", *flags, env=env)
        return [json.loads(line)["metadata_id"] for line in result.stdout.splitlines()]

    eventually(lambda: ids(env=names) == ["a"], "the document is where the names say")
    assert ids("--database", "other", "--collection", "docs.v2") == ["a"]
    assert [f.name for f in (tmp_path / "store").glob("*.db")] == ["other.docs.v2.db"]
    missing = ca4("query", "--data-dir", tmp_path)
    assert missing.returncode == 1
    assert "ca4.gpu_metadata.db" in missing.stderr


def test_flags_beat_the_environment_which_beats_the_file(ca4, toml):
    file = toml('data_dir = "from-file"\n')

    def effective(*flags, env=None):
        result = run("config", "--config", file, "--format", "toml", *flags, env=env)
        assert result.returncode == 0, result.stderr
        return re.search(r'^data_dir = "(.*?)"', result.stdout, re.MULTILINE)[1]

    assert effective() == "from-file"
    assert effective(env={"CA4_DATA_DIR": "from-env"}) == "from-env"
    assert effective("--data-dir", "from-flag", env={"CA4_DATA_DIR": "from-env"}) == "from-flag"


def test_config_takes_a_flag_of_every_section_but_the_producers(ca4):
    sections = re.findall(r"^## `\[\w+\]` (.+)$", ca4("config", "--doc", "markdown").stdout, re.MULTILINE)
    assert len(sections) > 8
    shown = ca4("config", "--help").stdout
    assert [title for title in sections if f"\n{title}:\n" not in shown] == ["Producer: from images to events"]
    kafka = ca4("config", "--kafka-bootstrap", "kafka:9092", "--format", "toml")
    assert kafka.returncode == 0, kafka.stderr
    assert 'bootstrap = "kafka:9092"' in kafka.stdout


def test_the_manual_page_has_every_command():
    page = (ROOT / "deploy/package/ca4.1").read_text()
    listed = re.findall(r"^  (\w+)\s{2,}", run("--help").stdout.split("Commands:")[1].split("Example:")[0], re.MULTILINE)
    assert len(listed) > 15
    assert [name for name in listed if f"ca4 {name}" not in page] == []


@pytest.mark.parametrize("env, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str)
def test_colours_are_for_terminals_that_want_them(tmp_path, env, coloured):
    def on_terminal(*arguments):
        ours, theirs = pty.openpty()
        program = subprocess.Popen([BINARY, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
                                   env=ENVIRONMENT | {"TERM": "xterm", "NO_COLOR": ""} | env)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        finally:
            program.wait()
            os.close(ours)
        return shown.decode()

    checks = on_terminal("verify", "db")
    assert "no document store here" in checks
    assert ("\x1b[" in checks) == coloured
    # Warns, and then ends, because this machine has no such address.
    logged = on_terminal("up", "--data-dir", "data", "--listen", "0.0.0.0:0", "--admin-listen", "192.0.2.1:1")
    assert "anybody who reaches" in logged
    assert ("\x1b[" in logged) == coloured


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_is_valid(ca4, tmp_path, shell):
    result = ca4("completion", shell)
    assert result.returncode == 0
    script = tmp_path / "script"
    script.write_text(result.stdout)
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def bash_completes(*words):
    """What bash offers for the last word."""
    script = f"""
        source <("{BINARY}" completion bash)
        COMP_WORDS=({" ".join(f"'{w}'" for w in words)})
        COMP_CWORD={len(words) - 1}
        _ca4
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert result.stderr == ""
    return result.stdout.split()


def test_bash_completes_commands_flags_and_values():
    assert bash_completes("ca4", "qu") == ["query"]
    assert bash_completes("ca4", "query", "--simi") == ["--similar"]
    assert bash_completes("ca4", "query", "--format", "nd") == ["ndjson"]
    assert bash_completes("ca4", "dlq", "rep") == ["replay"]
    assert set(bash_completes("ca4", "")) >= set(COMMANDS)


def test_zsh_completes_a_command_on_tab(tmp_path):
    # A real zsh on a pseudo-terminal, as a person has it.
    (tmp_path / "ca4").symlink_to(BINARY)
    (tmp_path / ".zshrc").write_text(
        "PS1='> '; autoload -Uz compinit; compinit -u -D; source <(ca4 completion zsh); print READY\n"
    )
    env = ENVIRONMENT | {"ZDOTDIR": str(tmp_path), "PATH": f"{tmp_path}:{ENVIRONMENT['PATH']}", "TERM": "xterm"}
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(["zsh", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    shown = ""

    def shows(text):
        nonlocal shown
        if select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 4096).decode(errors="replace")
        return text in shown

    try:
        eventually(lambda: shows("READY"), "zsh has started")
        # The line editor may echo a letter again as it draws; what TAB added is only seen in what runs.
        os.write(ours, b"ca4 qu\t--help\n")
        eventually(lambda: shows("Usage: ca4 query"), "zsh made `ca4 query --help` of `ca4 qu<TAB>--help`")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_normal_operation_is_quiet_and_logs_can_be_json(up):
    server = up("--log-format", "json")
    for i in range(20):
        server.accept(event(f"q{i}"))
    server.when_stored([f"q{i}" for i in range(20)])
    server.stop()
    lines = server.said().splitlines()
    assert len(lines) < 10, server.said()
    for line in lines:
        assert isinstance(json.loads(line), dict)
    assert len(server.printed().splitlines()) == 1


def test_query_formats_and_filters_agree(up, ca4):
    server = up()
    for i in range(6):
        server.accept(event(f"d{i}", extra={"pipeline": "even" if i % 2 == 0 else "odd"}))
    server.when_stored([f"d{i}" for i in range(6)])
    data = ["--data-dir", server.data_dir]
    assert ca4("query", *data, "--count").stdout == "6\n"
    assert ca4("query", *data, "--count", "--pipeline", "odd").stdout == "3\n"
    assert {d["metadata_id"] for d in documents(server.data_dir, "--pipeline", "even")} == {"d0", "d2", "d4"}
    newest = json.loads(ca4("query", *data, "--format", "json", "--limit", "2").stdout)
    assert [d["metadata_id"] for d in newest] == ["d5", "d4"]
    (one,) = documents(server.data_dir, "--id", "d3")
    assert one["metadata_id"] == "d3"
    assert documents(server.data_dir, "--since", "1h") and not documents(server.data_dir, "--until", "1h")
    table = ca4("query", *data).stdout.splitlines()
    assert len(table) == 7
    assert ca4("query", *data, "--id", "nobody").returncode == 1


def test_query_without_data_says_where_it_looked(ca4, tmp_path):
    result = ca4("query", "--data-dir", tmp_path / "none")
    assert result.returncode == 1
    assert str(tmp_path / "none") in result.stderr


@pytest.mark.parametrize(
    "arguments", [["log", "tail"], ["log", "stats"], ["dlq", "list"], ["dlq", "count"], ["query"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_a_failure(up, arguments):
    server = up()
    server.accept(event("a"))
    server.when_stored(["a"])
    server.stop()
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [BINARY, *arguments, "--data-dir", server.data_dir], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    assert result.returncode == 1
    assert re.fullmatch(r"ca4.*: standard output: No space left on device\n", result.stderr)


@pytest.mark.parametrize("command", ["query", "log stats", "dlq count", "tap", "replay --from-log", "spool stats", "tunnel --status", "top"])
def test_a_folder_of_another_user_is_not_taken_for_none(tmp_path, command):
    """Where a service has its data, and somebody else looks."""
    (tmp_path / "log").mkdir()
    tmp_path.chmod(0o700)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY]
    result = subprocess.run([*nobody, *command.split(), "--data-dir", tmp_path], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert result.returncode == 1
    assert "Permission denied" in result.stderr


def test_log_shows_and_checks_an_embedded_log(up, ca4):
    server = up()
    for i in range(5):
        server.accept(event(f"l{i}"))
    server.when_stored(["l4"])
    data = ["--data-dir", server.data_dir]
    assert "l4" in ca4("log", "tail", *data).stdout
    assert "l0" in ca4("log", "head", *data).stdout
    assert ca4("log", "stats", *data).returncode == 0
    assert ca4("log", "check", *data).returncode == 0
    server.stop()
    log = server.data_dir / "log/gpu-metadata.db"
    damaged = bytearray(log.read_bytes())
    at = damaged.index(b'"metadata_id":"l2"')
    damaged[at] ^= 0xFF
    log.write_bytes(damaged)
    checked = ca4("log", "check", *data)
    assert checked.returncode == 1, checked.stdout
    assert "offset 2" in checked.stdout
    assert "l4" in ca4("log", "tail", *data).stdout


def test_a_tunnel_that_waits_says_so_in_one_readable_line(start, tmp_path):
    tunnel = start("tunnel", "--data-dir", tmp_path, "--bastion", "127.0.0.1", "--bastion-port", "1")
    eventually(lambda: "what to do: " in tunnel.said(), tunnel.said)
    assert re.search(r"nobody answers ssh at 127\.0\.0\.1: .*; what to do: does the bastion run", tunnel.said())
    assert "\\n" not in tunnel.said()


def test_a_process_leaves_nothing_in_shared_memory_and_minds_nothing_that_is_there(up):
    """libmongoc would: a file by the process's number, which stays when that is killed, and warns the next one that has it."""
    server = up()
    assert "/dev/shm/mongoc" not in Path(f"/proc/{server.pid}/maps").read_text()
    # The shell becomes the program, so that the number is known beforehand.
    beside = 'mount -t tmpfs shm /dev/shm && touch /dev/shm/mongoc-$$ && exec "$0" --version'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", beside, BINARY], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("nohup", [[], ["nohup"]], ids=["plainly", "nohup"])
def test_what_was_started_in_a_terminal_ends_with_it(up, nohup):
    ours, theirs = pty.openpty()
    server = up(prefix=["bash", "-c", f'exec setsid --ctty "$@" <{os.ttyname(theirs)}', "bash", *nohup])
    os.close(theirs)
    server.signal(signal.SIGHUP)  # reads tokens again while there is a terminal
    server.accept(event("before"))
    os.close(ours)
    if nohup:
        time.sleep(0.5)
        server.accept(event("after"))
        server.stop()
    else:
        assert server.wait() == 0, server.said()
