"""Each fault: does it, waits as long as it lasts, heals, and says what was seen of it. Whether it happened is not taken for granted."""

import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import tunnel
from basics import BINARY

# The end after SIGTERM may wait for requests in flight, and for servers that are away.
STOP_S = 90
# How much longer a fault stays until it is noticed: with a second one that stops all traffic it has to outlast that.
UNSEEN_S = 40
# A date is in whole seconds, and a clock that was moved is looked at once a second.
CLOCK_S = 30


@dataclass
class Seen:
    fault: object
    happened: bool
    what: str
    began: float
    ended: float = 0.0


def kill(world, fault):
    process = world.processes[fault.target]
    ran = process.runs()
    process.kill()
    code = process.process.returncode
    time.sleep(fault.lasts_s)
    process.start()
    return ran and code == -signal.SIGKILL, f"ended with {code}, ready again"


def restart(world, fault):
    process = world.processes[fault.target]
    ran = process.runs()
    process.process.terminate()
    try:
        code = process.process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = f"nothing within {STOP_S} s of SIGTERM"
    if code != 0:
        world.deaths.append((process.name, f"{code} after SIGTERM", process.said(2000)))
    time.sleep(fault.lasts_s)
    process.start()
    return ran, f"ended with {code}, ready again"


def build(world, fault):
    """Ends it, and starts the other build of it on the same data; the next time the first one again."""
    process = world.processes[fault.target]
    other = str(world.other_build if process.argv[0] == str(BINARY) else BINARY)
    process.argv[0] = other
    happened, what = restart(world, fault)
    return happened, f"{what}, as {other}"


def leaders(world, fault):
    """A broker ends as for an upgrade, so that others lead its partitions; it comes back, and is asked to lead again."""
    process = world.processes[fault.target]

    def led():
        return {partition for partition, leader in world.leaders().items() if leader == fault.target}

    _until(lambda: led() or world.elect_preferred() and led())
    before = led()
    process.stop()
    moved = _until(lambda: world.leaders() and not before & led())
    time.sleep(fault.lasts_s)
    process.start()
    back = _until(lambda: world.elect_preferred() and before <= led())
    words = f"partitions {sorted(before)} {'went to others' if moved else 'stayed'}{' and came back' if back else ''}"
    return bool(before) and moved and back, words


def clock(world, fault):
    """Seen by the date of its answers."""
    process = world.processes[fault.target]
    process.move_clock(fault.amount)
    try:
        away = _until(lambda: abs(process.ahead_s() - fault.amount) < CLOCK_S)
        time.sleep(fault.lasts_s)
    finally:
        process.move_clock(0)
    back = _until(lambda: abs(process.ahead_s()) < CLOCK_S)
    return away and back, f"{'' if away else 'not '}away, {'' if back else 'not '}back"


def _until(seen):
    deadline = time.monotonic() + UNSEEN_S
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _state(process):
    return Path(f"/proc/{process.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def stop(world, fault):
    process = world.processes[fault.target]
    process.pause()
    try:
        time.sleep(fault.lasts_s)
        state = _state(process)
    finally:
        process.resume()
    return state == "T", f"was in state {state}"


def _stay(fault, seen, over=lambda: False):
    """As long as it lasts and until seen(), which is bounded; no longer than until over()."""
    began = time.monotonic()
    while not over() and time.monotonic() - began < fault.lasts_s + (0 if seen() else UNSEEN_S):
        time.sleep(0.05)


def full(world, fault):
    refused, starts = world.refused_503(), world.false_starts()
    try:
        world.disk.fill()
        _stay(fault, lambda: world.refused_503() + world.false_starts() > refused + starts)
    finally:
        world.disk.free()
    refused, starts = world.refused_503() - refused, world.false_starts() - starts
    return refused + starts > 0, f"{refused} events refused with 503, {starts} times a processor did not start"


def _net(begin, counter):
    """A fault of a proxy, seen by one of its counters, or by what those behind it say where that is known."""

    def net(world, fault):
        proxy = world.proxies[fault.target]
        what, count = world.evidence.get((fault.kind, fault.target), (counter, lambda: getattr(proxy, counter)))
        before = count()
        begin(proxy, fault)
        try:
            _stay(fault, lambda: count() > before, lambda: fault.kind == "cut" and not proxy.will_cut)
        finally:
            proxy.heal()
        seen = count() - before
        return seen > 0, f"{what}: {seen}"

    return net


KINDS = {
    "kill": kill,
    "restart": restart,
    "build": build,
    "stop": stop,
    "clock": clock,
    "leaders": leaders,
    "full": full,
    "lose": tunnel.lose,
    "hang": tunnel.hang,
    "refuse": _net(lambda proxy, _: proxy.refuse(), "resets"),
    "drop": _net(lambda proxy, _: proxy.stall(), "held"),
    "delay": _net(lambda proxy, fault: proxy.slow(delay_s=fault.amount / 1000), "delayed"),
    "narrow": _net(lambda proxy, fault: proxy.slow(bytes_per_s=fault.amount), "narrowed"),
    "corrupt": _net(lambda proxy, _: proxy.corrupt(), "corrupted"),
    "cut": _net(lambda proxy, fault: proxy.cut_after(fault.amount), "resets"),
}


def run_step(world, step):
    """The faults of a step, at once; returns what was seen of each."""
    seen = [Seen(fault, False, "", time.time()) for fault in step.faults]

    def one(entry):
        world.note(f"begins: {entry.fault}")
        try:
            entry.happened, entry.what = KINDS[entry.fault.kind](world, entry.fault)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on to heal and to judge
            entry.what = f"{type(error).__name__}: {error}"
        entry.ended = time.time()
        world.note(f"healed: {entry.fault}: {entry.what}")

    threads = [threading.Thread(target=one, args=(entry,)) for entry in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
