"""What the local processor is doing, asked of its parts themselves."""

import json
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request

# Everything asked here is on this machine.
ANSWER_S = 5


def ask(binary, state, *args):
    """The JSON that a command of ca4 prints about this processor; {} when it has none."""
    try:
        done = subprocess.run(
            [binary, *args], env=os.environ | state["env"], capture_output=True, text=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL
        )
        return json.loads(done.stdout) if done.stdout else {}
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return {}


def fetch(url):
    """(status, body) of a GET; (0, why) without an answer. The certificate is the processor's own affair: no secret is sent."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S, context=unchecked) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(getattr(error, "reason", error))


def processor(part):
    status, body = fetch(part["url"] + "/readyz") if part["url"] else (0, "it does not listen yet")
    return {"ready": status == 200, "why_not": "" if status == 200 else body.strip()[:200]}


def tunnel(part, binary, state):
    """The tunnel's own account. It is well when it is connected and Kafka answers through it; the K3s API and Grafana are there later."""
    told = ask(binary, state, "tunnel", "--status", "--json") if part["state"] == "up" else {}
    links, forwards = told.get("links", []), told.get("forwards", [])
    kafka = [f for f in forwards if int(f["local"].rpartition(":")[2]) in state["kafka_ports"]]
    return {
        "connected": bool(links) and all(link["state"] == "connected" for link in links),
        "kafka": all(f["state"] == "healthy" for f in kafka),
        "problem": "; ".join(text for link in links for text in (link["problem"], link["fix"]) if text),
        "forwards": forwards,
    }


def outbox(binary, state, url=""):
    """What waits on disk; and where events go now, as the processor at `url` says (direct, spooling, ...; '' when it does not)."""
    told = ask(binary, state, "spool", "stats", "--format", "ndjson")
    going = re.search(r'^ca4_outbox_state\{state="(\w+)"\} 1$', fetch(url + "/metrics")[1] if url else "", re.MULTILINE)
    return {
        "waiting": told.get("waiting", 0),
        "oldest_age_s": told.get("oldest_age_s"),
        "file": told.get("file", ""),
        "state": going[1] if going else "",
    }


def collect(binary, state):
    """Everything, as one object; {"running": False} when `state` is None."""
    if state is None:
        return {"running": False, "well": False}
    parts = []
    for part in state["parts"]:
        more = processor(part) if part["name"] == "processor" else tunnel(part, binary, state)
        parts.append(part | more)
    box = outbox(binary, state, state["parts"][-1]["url"] if state["parts"] else "")
    well = all(part["ready"] if part["name"] == "processor" else part["connected"] and part["kafka"] for part in parts)
    well = well and bool(parts) and box["state"] in ("", "direct")
    return {"running": True, "well": well, "since": state["since"], "pid": state["pid"], "parts": parts, "outbox": box}


def plural(number, thing):
    return f"{number} {thing}" + ("" if number == 1 else "s")


def waiting_text(box):
    if not box["waiting"]:
        return "nothing waits" + ("" if box["state"] in ("", "direct") else "; Kafka does not take events now, the next ones will wait on this disk")
    return f"{plural(box['waiting'], 'event')} on this disk, the oldest for {box['oldest_age_s']:.0f} s, until Kafka takes them ({box['file']})"


def text(found, logs):
    """The same for people."""
    if not found["running"]:
        return "not running; `make run-local-processor` starts it\n"
    lines = []

    def row(head, body):
        lines.append(f"{head:<11}{body}")

    for part in found["parts"]:
        row(part["name"], f"{part['state']} since {part['since']}, started again {plural(part['restarts'], 'time')}")
        if part["name"] == "processor":
            row("", (part["url"] or "no address yet") + (", ready" if part["ready"] else f", not ready: {part['why_not']}"))
            if part["public_url"]:
                row("", f"public at {part['public_url']}")
        else:
            row("", ("connected" if part["connected"] else "not connected") + (f": {part['problem']}" if part["problem"] else ""))
            for forward in part["forwards"]:
                row("", f"{forward['local']:<16} -> {forward['target']:<20} {forward['state']:<12} {forward['detail']}".rstrip())
        if part["last_error"]:
            row("", f"last error, {part['last_error_at']}: " + part["last_error"].replace("\n", "\n" + " " * 13))
    row("outbox", waiting_text(found["outbox"]))
    row("logs", logs)
    return "\n".join(lines) + "\n"
