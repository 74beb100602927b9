"""The judgement: what clients were told against what is there. Pure: a ledger, a view and scrapes in, violations out."""

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    name: str
    id: str
    detail: str
    at: float = 0.0  # Unix time around which the history is of interest

    def __str__(self):
        return f"{self.name}: {self.id}: {self.detail}"


@dataclass(frozen=True)
class Scrape:
    """The processor's counters ca4_events_total, asked for at `began` and here at `ended`."""

    life: int
    began: float
    ended: float
    accepted: float
    refused: float
    failed: float


def judge(ledger, view, scrapes=()):
    attempts = ledger.by_id()
    found = _strangers(attempts, view)
    found += _documents(attempts, view)
    found += _archive(attempts, view)
    found += _letters(attempts, set(view.letters))
    if view.waiting:
        found.append(Violation("outbox", "-", f"{view.waiting} events still wait"))
    return found + _metrics(ledger, scrapes)


def _letters(attempts, letters):
    """What is no event is a dead letter, what is one is none. A letter may be written twice, by a worker that was killed before its commit."""
    found = []
    for metadata_id, sent in attempts.items():
        if metadata_id in letters and not sent[0].foreign:
            found.append(Violation("dead-letter", metadata_id, "a valid event is a dead letter", sent[0].began))
        elif metadata_id not in letters and sent[0].foreign and sent[0].outcome == "ok":
            found.append(Violation("lost", metadata_id, "no event, in the log, and no dead letter", sent[0].began))
    return found


def _strangers(attempts, view):
    """Ids that nobody sent, contents that nobody sent, and what was refused or must have been."""
    found = []
    for where, entries in (("database", view.documents), ("archive", view.archive)):
        for entry in entries:
            sent = attempts.get(entry.id)
            if sent is None:
                found.append(Violation("spurious", entry.id, f"in the {where}, and never sent"))
                continue
            same = [a for a in sent if a.hash == entry.hash and not a.bad]
            if any(a.bad for a in sent):
                found.append(Violation("refused-kept", entry.id, f"in the {where}, and must be refused", sent[0].began))
            elif not same:
                found.append(Violation("corrupt", entry.id, f"in the {where} with a content that was never sent", sent[-1].began))
            elif all(a.outcome == "refused" for a in same):
                statuses = sorted({a.status for a in same})
                found.append(Violation("refused-kept", entry.id, f"in the {where}, and was refused with {statuses}", same[-1].began))
    taken = [a for sent in attempts.values() for a in sent if a.bad and not a.foreign and a.outcome == "ok"]
    return found + [Violation("bad-accepted", a.id, "must be refused, and was answered 200", a.began) for a in taken]


def _documents(attempts, view):
    """Each id that was accepted has one document, of the last accepted event or of one without an answer after it."""
    found = []
    counts = Counter(document.id for document in view.documents)
    found += [Violation("duplicate", i, f"{n} documents") for i, n in counts.items() if n > 1]
    documents = {document.id: document for document in view.documents}
    for metadata_id, sent in attempts.items():
        accepted = [a for a in sent if a.outcome == "ok" and not a.bad]
        document = documents.get(metadata_id)
        if not accepted:
            continue
        last = accepted[-1]
        if document is None:
            found.append(Violation("lost", metadata_id, f"revision {last.revision} was acknowledged: no document", last.began))
            continue
        after = sent.index(last)
        may_be = {last.hash} | {a.hash for n, a in enumerate(sent) if a.outcome == "unknown" and (a.late or n > after)}
        known = {a.hash: a.revision for a in sent if a.outcome != "refused"}
        if document.hash not in may_be and document.hash in known:
            detail = f"revision {known[document.hash]} in the database, {last.revision} was accepted last"
            found.append(Violation("order", metadata_id, detail, last.began))
    return found


def _archive(attempts, view):
    """Each accepted event is in the archive's view once; what stands at one place twice is equal; versions follow acceptance."""
    found, places, versions = [], {}, {}
    for row in view.archive:
        first = places.setdefault(row.place, row)
        if (first.id, first.version, first.hash) != (row.id, row.version, row.hash):
            found.append(Violation("corrupt", row.id, f"two different lines for {row.place}"))
        elif first is not row and first.file == row.file:
            found.append(Violation("duplicate", row.id, f"{row.place} is twice in {row.file}"))
    for row in places.values():
        versions.setdefault(row.id, []).append((row.version, row.hash))
    for metadata_id, sent in attempts.items():
        rows = sorted(versions.get(metadata_id, ()))
        if view.resends:
            rows = sorted(set(rows))
        if len({version for version, _ in rows}) != len(rows):
            found.append(Violation("duplicate", metadata_id, "one version at two places of the archive", sent[-1].began))
        found += _history(metadata_id, [a for a in sent if not a.bad], [hash_ for _, hash_ in rows])
    return found


def _history(metadata_id, sent, hashes):
    """One id: the archive's contents in the order of versions against the attempts in the order of the client."""
    found, counts = [], Counter(hashes)
    for hash_ in dict.fromkeys(a.hash for a in sent):
        same = [a for a in sent if a.hash == hash_]
        accepted = sum(a.outcome == "ok" for a in same)
        most = accepted + sum(a.outcome == "unknown" for a in same)
        what = f"revision {same[0].revision} is {counts[hash_]} times in the archive, acknowledged {accepted} times, at most {most}"
        if counts[hash_] < accepted:
            found.append(Violation("lost", metadata_id, what, same[-1].began))
        elif counts[hash_] > most > 0:
            found.append(Violation("duplicate", metadata_id, what, same[-1].began))
    if not found and not _follows(sent, hashes):
        found.append(Violation("order", metadata_id, "versions in the archive are not in the order of acceptance", sent[-1].began))
    return found


def _follows(sent, hashes):
    """Whether `hashes` are the attempts in order: all that were accepted, and any of those without an answer."""
    late = {a.hash for a in sent if a.late} - {a.hash for a in sent if not a.late}
    known = {a.hash for a in sent if a.outcome != "refused"}
    hashes = [h for h in hashes if h in known and h not in late]  # others were reported, or may stand anywhere
    reached = {0}  # how many of `hashes` the attempts so far can account for
    for attempt in sent:
        if attempt.outcome == "refused" or attempt.hash in late:
            continue
        taken = {n + 1 for n in reached if n < len(hashes) and hashes[n] == attempt.hash}
        reached = taken | (reached if attempt.outcome == "unknown" else set())
    return len(hashes) in reached


def _metrics(ledger, scrapes):
    """Counters begin at 0 with each life of the processor, so each scrape is held against the attempts of its life.

    At least what was answered before the scrape began, at most what was sent before it was here and may have been taken.
    """
    found = []
    rules = {
        "accepted": (lambda a: a.outcome == "ok", lambda a: a.outcome != "refused"),
        # A bad line counts as refused, also when its batch is answered 503.
        "refused": (lambda a: a.bad and a.status > 0, lambda a: a.bad and (a.status > 0 or a.outcome == "unknown")),
        "failed": (lambda a: not a.bad and a.status == 503, lambda a: a.status == 503 or a.outcome == "unknown"),
    }
    for name, (surely, perhaps) in rules.items():
        answered, sent = {}, {}  # {life: when, in order}
        for attempt in (a for a in ledger.attempts if not a.foreign):
            if surely(attempt) and attempt.life == attempt.ended_life:
                answered.setdefault(attempt.life, []).append(attempt.ended)
            if perhaps(attempt):
                for life in range(attempt.life, (attempt.ended_life or attempt.life) + 1):
                    sent.setdefault(life, []).append(attempt.began)
        for times in (*answered.values(), *sent.values()):
            times.sort()
        for scrape in scrapes:
            least = bisect_left(answered.get(scrape.life, []), scrape.began)
            most = bisect_right(sent.get(scrape.life, []), scrape.ended)
            counted = getattr(scrape, name)
            if not least <= counted <= most:
                detail = f"ca4_events_total{{result={name}}} is {counted:g} in life {scrape.life}, the ledger says {least} to {most}"
                found.append(Violation("metrics", "-", detail, scrape.ended))
    return found
