"""What docs/runbook.md says, so that a drill can hold the system to it.

An entry begins with `<a id="NAME"></a>` and has the parts Detection, Failure injection, Impact observed, Recovery and Post-recovery
verification. A block of `console exit=N` in it is a command, after `MACHINE$`, with all that it prints, or with nothing where only the
exit code counts. A figure stands for any figure, a time for any time, … for anything, and … alone on a line for any lines that do not
begin with FAIL.
"""

import re
from dataclasses import dataclass

from basics import ROOT

RUNBOOK = ROOT / "docs/runbook.md"
PARTS = ("Detection", "Failure injection", "Impact observed", "Recovery", "Post-recovery verification")

# Stands after the last line.
END = "(nothing more)"

# A piece of a line, and what may stand in its place.
PIECES = (
    (r"…", ".*"),
    (r"ca4-verify-[\w-]*", r"ca4-verify-[\w-]+"),
    (r"\d+(?:\.\d+)? m?s\b", r"\d+(?:\.\d+)? m?s"),
    (r"\d+", r"\d+"),
    (r"\s+", r"\s+"),
)


@dataclass
class Command:
    machine: str
    line: str
    exit_code: int
    printed: list


def pattern(line):
    """The regular expression of the lines that a quoted one stands for."""
    made, rest = "", line.strip()
    while rest:
        for piece, stands_for in PIECES:
            if found := re.match(piece, rest):
                made, rest = made + stands_for, rest[found.end() :]
                break
        else:
            made, rest = made + re.escape(rest[0]), rest[1:]
    return made


def difference(command, exit_code, printed):
    """How what happened differs from what the runbook quotes; empty when it does not. Where it quotes no line, only the exit code counts."""
    problems = [] if exit_code == command.exit_code else [f"exit code {exit_code}, the runbook says {command.exit_code}"]
    lines = [line.strip() for line in printed.splitlines() if line.strip()] if command.printed else []
    skipping = False
    for quoted in [line.strip() for line in command.printed] + [END]:
        if quoted == "…":
            skipping = True
            continue
        # What fails must be quoted: only what passes is left out.
        while skipping and lines and not matches(quoted, lines[0]) and not lines[0].startswith("FAIL"):
            lines.pop(0)
        skipping = False
        said = lines.pop(0) if lines else END
        if not matches(quoted, said):
            problems.append(f"printed  {said}\n    runbook  {quoted}")
    return "\n    ".join(problems)


def difference_of_outcome(command, exit_code, printed):
    """As `difference`, where the system is set up otherwise than vpc-sim: those checks fail that are quoted as failing, as far as they are made."""
    problems = [] if exit_code == command.exit_code else [f"exit code {exit_code}, the runbook says {command.exit_code}"]
    quoted, failed = _failed("\n".join(command.printed)), _failed(printed)
    made = set(re.findall(r"^\s*(?:ok|skip|FAIL)\s+(\S+)", printed, re.MULTILINE))
    if failed != quoted & made or bool(failed) != bool(quoted):
        problems.append(f"fails at {sorted(failed)}, in the runbook at {sorted(quoted)}")
    return "\n    ".join(problems)


def _failed(printed):
    return set(re.findall(r"^\s*FAIL\s+(\S+)", printed, re.MULTILINE))


def matches(quoted, said):
    return re.fullmatch(pattern(quoted), said) is not None


def entries(text=None):
    """{name: {part: [Command]}} of every entry of the runbook, in its order."""
    found = {}
    for entry in re.split(r'^<a id="', text or RUNBOOK.read_text(), flags=re.MULTILINE)[1:]:
        name = entry[: entry.index('"')]
        parts = re.split(r"^### (.+)\n", entry, flags=re.MULTILINE)
        found[name] = {title: _commands(body) for title, body in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def _commands(text):
    made = []
    for exit_code, block in re.findall(r"^```console exit=(\d+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        first, *printed = [line for line in block.splitlines() if line.strip()]
        machine, line = first.split("$ ", 1)
        made.append(Command(machine, line, int(exit_code), printed))
    return made
