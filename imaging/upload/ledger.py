"""Which file of the folder is where on its way; all rules of time and order, with the clock handed in.

settling    its size and time of change may still move
ready       it rests: it waits for its turn
flying      a transfer has it
done        the store has this version, and the sums agree
failed      it cannot be sent as it is
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from imaging.upload.source import Scan, SourceFile, is_manifest
from imaging.upload.sums import Sums

State = Literal["settling", "ready", "flying", "done", "failed"]
OPEN: tuple[State, ...] = ("settling", "ready", "flying")
LONG_AGO_S = 60.0
"""A file that was changed this much longer ago than it must rest is at rest at first sight; less may be two clocks."""
FAILED_S = 60.0
"""Seconds after which a file that failed is tried again by an upload that goes on."""
TRIES_IN_PLACE = 3
"""Failures after which a file goes behind the others: one that the store will not have must not keep them back."""


@dataclass(slots=True, eq=False)
class Entry:
    """One file; ``since`` is when this size and time of change were first seen, on the caller's monotonic clock."""

    path: str
    size: int
    mtime_ns: int
    is_manifest: bool
    since: float
    state: State = "settling"
    not_before: float = 0.0
    waits_since: float | None = None
    tries: int = 0
    reason: str = ""
    sums: Sums | None = None
    token: str = ""
    look: int = 0


class Ledger:
    """All files that were seen.

    Parameters
    ----------
    settle_s
        Seconds that a file must rest before it is sent.
    manifest_wait_s
        Seconds after which a manifest is sent although images are still to be sent.
    last
        Path of a file that is sent last, as a manifest is, whatever its name.
    """

    def __init__(self, *, settle_s: float, manifest_wait_s: float, last: str = "") -> None:
        self.settle_s, self.manifest_wait_s, self.last = settle_s, manifest_wait_s, last
        self.entries: dict[str, Entry] = {}
        self.vanished = 0
        self._counts: Counter[tuple[bool, State]] = Counter()
        self._bytes: Counter[State] = Counter()
        self._queues: dict[bool, list[tuple[int, int, str]]] = {False: [], True: []}
        self._look = 0

    def see(self, found: Scan, now: float, wall: float) -> int:
        """Take in a look at the folder; returns how many files are new, changed or gone.

        Parameters
        ----------
        found
            The look.
        now, wall
            The time of a monotonic clock, and Unix time, in seconds.
        """
        self._look += 1
        changes = sum(self._see_file(file, now, wall) for file in found.files)
        gone = [
            entry
            for entry in self.entries.values()
            if entry.look != self._look
            and entry.state not in ("flying", "done")
            and not entry.path.startswith(tuple(found.unread))
        ]
        for entry in gone:
            self._drop(entry)
        return changes + len(gone)

    def take(self, now: float) -> Entry | None:
        """Hand out the file whose turn it is: images in the order they were written, then manifests."""
        manifest = self._first(is_manifest=True)
        waits = manifest is not None and now - manifest.since - self.settle_s >= self.manifest_wait_s
        entry = manifest if waits else self._first(is_manifest=False)
        if entry is None and not any(self._counts[False, state] for state in OPEN):
            entry = manifest
        if entry is not None:
            heapq.heappop(self._queues[entry.is_manifest])
            self._move(entry, "flying")
        return entry

    def done(self, entry: Entry, sums: Sums, token: str) -> None:
        """The store has this version of the file."""
        entry.sums, entry.token, entry.tries, entry.reason = sums, token, 0, ""
        self._move(entry, "done")

    def wait(self, entry: Entry, now: float, for_s: float, reason: str) -> None:
        """The file itself is not ready, or not wanted now; it is looked at again ``for_s`` seconds later."""
        entry.not_before, entry.reason = now + for_s, reason
        entry.waits_since = now if entry.waits_since is None else entry.waits_since
        entry.tries += 1
        self._move(entry, "settling")

    def unsent(self, entry: Entry) -> None:
        """The store did not take the file; it is sent again when the store answers."""
        entry.tries += 1
        self._queue(entry)

    def resend(self, entry: Entry) -> None:
        """The store has something else by now."""
        self._queue(entry)

    def fail(self, entry: Entry, now: float, reason: str) -> None:
        """The file cannot be sent as it is; it is looked at again when it changes."""
        entry.reason, entry.not_before = reason, now + FAILED_S
        self._move(entry, "failed")

    def retry_failed(self, now: float) -> None:
        """Try those once more that failed a while ago: somebody may have given permission."""
        for entry in self.of("failed"):
            if now >= entry.not_before:
                self._move(entry, "settling")

    def of(self, *states: State) -> list[Entry]:
        """Files in these states."""
        return [entry for entry in self.entries.values() if entry.state in states]

    def count(self, *states: State) -> int:
        """How many files are in these states."""
        return sum(self._counts[kind, state] for kind in (False, True) for state in states)

    def size(self, *states: State) -> int:
        """Bytes of the files in these states."""
        return sum(self._bytes[state] for state in states)

    def _see_file(self, file: SourceFile, now: float, wall: float) -> bool:
        entry = self.entries.get(file.path)
        is_new = entry is None
        if entry is None:
            entry = Entry(file.path, file.size, file.mtime_ns, file.path == self.last or is_manifest(file), now)
            age_s = wall - file.mtime_ns / 1e9 - LONG_AGO_S
            if age_s > self.settle_s:
                entry.since = now - age_s
            self.entries[file.path] = entry
            self._count(entry, 1)
        entry.look = self._look
        if entry.state == "flying":  # the transfer itself finds out
            return False
        has_changed = (entry.size, entry.mtime_ns) != (file.size, file.mtime_ns)
        if has_changed:
            self._count(entry, -1)
            entry.size, entry.mtime_ns, entry.since = file.size, file.mtime_ns, now
            entry.state, entry.tries, entry.not_before, entry.waits_since, entry.reason = "settling", 0, 0.0, None, ""
            self._count(entry, 1)
        if entry.state == "settling" and now - entry.since >= self.settle_s and now >= entry.not_before:
            self._queue(entry)
        return is_new or has_changed

    def _queue(self, entry: Entry) -> None:
        self._move(entry, "ready")
        key = (entry.tries // TRIES_IN_PLACE, entry.mtime_ns, entry.path)
        heapq.heappush(self._queues[entry.is_manifest], key)

    def _first(self, *, is_manifest: bool) -> Entry | None:
        """First file of a queue; what is no longer true is taken out."""
        queue = self._queues[is_manifest]
        while queue:
            _, mtime_ns, path = queue[0]
            entry = self.entries.get(path)
            if entry is not None and entry.state == "ready" and entry.mtime_ns == mtime_ns:
                return entry
            heapq.heappop(queue)
        return None

    def _drop(self, entry: Entry) -> None:
        self._count(entry, -1)
        del self.entries[entry.path]
        self.vanished += 1

    def _move(self, entry: Entry, state: State) -> None:
        self._count(entry, -1)
        entry.state = state
        self._count(entry, 1)

    def _count(self, entry: Entry, by: int) -> None:
        self._counts[entry.is_manifest, entry.state] += by
        self._bytes[entry.state] += by * entry.size
