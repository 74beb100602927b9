"""The tree itself: every test is built, every metric and setting is documented, nothing is left over."""

import re
import subprocess

import pytest
from support import ROOT, run


def tracked():
    """Everything that is in git or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    names = listed.stdout.decode().split("\0")
    return [path for path in (ROOT / name for name in names if name) if path.is_file()]


@pytest.fixture(scope="module")
def sources():
    return {p: p.read_text() for p in tracked() if p.suffix in (".cc", ".h", ".py", ".sh", ".js", ".css", ".html")}


def test_every_unit_of_src_is_in_the_build_of_its_folder():
    forgotten = []
    for path in tracked():
        if path.suffix != ".cc" or ROOT / "src" not in path.parents or path.parent == ROOT / "src":
            continue
        folder = path.parent
        while not (folder / "CMakeLists.txt").is_file():
            folder = folder.parent
        build = (folder / "CMakeLists.txt").read_text()
        # ca4_test(x_test) stands for x_test.cc.
        if not re.search(rf"(?<![\w.]){re.escape(path.stem)}(\.cc)?(?![\w.])", build):
            forgotten.append(str(path.relative_to(ROOT)))
    assert not forgotten


def test_every_folder_with_a_build_is_in_the_build():
    top = (ROOT / "CMakeLists.txt").read_text()
    for build in (ROOT / "src").glob("*/CMakeLists.txt"):
        assert re.search(rf"\b{build.parent.name}\b", top), build


# What a folder of src/ may include besides itself: cli -> stages -> ports -> event -> base. The archive writes the
# store's documents; the page shows dead letters, whose format is the worker's.
ARROWS = {
    "base": "",
    "aws": "base",
    "event": "base",
    "config": "base",
    "http": "base",
    "ops": "base",
    "admin": "base http ops",
    "log": "base event",
    "store": "base event",
    "archive": "base aws event store",
    "processor": "base event http log ops",
    "producer": "base event",
    "worker": "base event log ops store archive",
    "door": "base http",
    "python": "base producer cli",
    "page": "base event http log ops store worker",
    "tap": "base event http log",
    "top": "base http",
    "tunnel": "base config",
    "verify": "base event http log store archive",
    "cli": "base aws event config http ops admin log store archive processor producer worker page tunnel door tap top verify",
}


def test_arrows_between_the_folders_go_one_way(sources):
    wrong = []
    for path, text in sources.items():
        if ROOT / "src" not in path.parents or path.parent == ROOT / "src":
            continue
        folder = path.relative_to(ROOT / "src").parts[0]
        for other in re.findall(r'^#include "([a-z]+)/', text, re.MULTILINE):
            if other != folder and other not in ARROWS[folder].split():
                wrong.append(f"{path.relative_to(ROOT)} includes {other}/")
    assert not wrong


def test_the_page_of_metrics_is_current_and_every_metric_of_it_is_made_somewhere():
    written = run("metrics", "--doc", "markdown")
    assert written.returncode == 0
    assert (ROOT / "docs/metrics.md").read_text() == written.stdout
    # That what is made is in the table, the program sees to itself; not that a row is made.
    table = ROOT / "src/ops/metric_table.cc"
    code = "".join(p.read_text() for p in (ROOT / "src").rglob("*.cc") if not p.name.endswith("_test.cc") and p != table)
    rows = set(re.findall(r"^\| `(\w+)`", written.stdout, re.MULTILINE))
    assert len(rows) > 40
    assert rows - set(re.findall(r'"((?:ca4|process)_[a-z0-9_]+)"', code)) == set()


def test_metric_names_have_base_units(up):
    text = up().get("/metrics").text
    for name, kind in re.findall(r"^# TYPE (ca4_\w+) (\w+)", text, re.MULTILINE):
        assert not re.search(r"_(ms|us|milliseconds|microseconds|kb|mb|mib|percent)\b", name), name
        assert name.endswith("_total") == (kind == "counter"), (name, kind)


def test_the_page_of_settings_is_current():
    written = run("config", "--doc", "markdown")
    assert written.returncode == 0
    assert (ROOT / "docs/configuration.md").read_text() == written.stdout


def test_every_measurement_is_a_target_of_make():
    targets = set(re.findall(r"^bench-(\w+): .*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets == {path.stem for path in (ROOT / "bench").glob("*.py")}


def test_no_file_is_large():
    # A clone stays quick; what is large is fetched at set-up.
    large = [str(p.relative_to(ROOT)) for p in tracked() if p.stat().st_size > 1 << 20]
    assert not large


def test_nothing_is_left_for_later(sources):
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
    assert not [str(p.relative_to(ROOT)) for p, text in sources.items() if marks.search(text)]


def test_no_path_of_a_machine_is_written_down(sources):
    path = re.compile(r"/(home|root|Users|work)/\w+/")
    found = [str(p.relative_to(ROOT)) for p, text in sources.items() if path.search(text)]
    assert not found


def test_lines_end_with_a_newline_and_no_blanks():
    bad = []
    for path in tracked():
        if path.suffix not in (".cc", ".h", ".py", ".sh", ".md", ".txt", ".toml", ".cmake"):
            continue
        text = path.read_text()
        if text and (not text.endswith("\n") or re.search(r"[ \t]+$", text, re.MULTILINE)):
            bad.append(str(path.relative_to(ROOT)))
    assert not bad


def test_links_between_the_pages_lead_somewhere():
    broken = []
    for page in (p for p in tracked() if p.suffix == ".md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
