"""The loop of an upload: look at the folder, hand files to transfers, say how it goes, compare all at the end.

The calling thread looks and reports; a few threads transfer. What is held in memory are names and sizes of files and,
of each transfer, one file or a few pieces of a large one: an outage of any length costs nothing more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from imaging.errors import ChangedObjectError, ConfigurationError, RefusedNameError, StoredDataError
from imaging.errors import StoreUnavailableError as Unavailable
from imaging.store import StoredObject
from imaging.upload.backoff import Backoff
from imaging.upload.destinations import Destination
from imaging.upload.journal import Journal, Noted
from imaging.upload.ledger import OPEN, Entry, Ledger
from imaging.upload.options import Options
from imaging.upload.reading import LockedFileError, NotReadyError, Open, open_to_read
from imaging.upload.record import make_record
from imaging.upload.source import Refusal, SourceFile
from imaging.upload.summary import Progress, Summary
from imaging.upload.tally import Tally
from imaging.upload.transfer import Sent, Transfer
from imaging.upload.watched import WatchedFolder

TICK_S = 0.25
LOOK_SHARE = 0.1
"""Greatest share of the time that looking at the folder may take, as it does in one of a million files."""
FINAL_ROUNDS = 3
REFUSED_TRIES = 3
PAUSE_S = 2.0
STOP_S = 10.0
"""Seconds that transfers in flight have to end when the upload is stopped."""

Answer = TypeVar("Answer")


class Uploader:
    """Uploads one folder to one destination.

    Parameters
    ----------
    folder
        The folder that the microscope writes.
    destination
        Where it goes.
    journal
        Notes of earlier runs, opened.
    options
        How.
    report
        Called by the running thread several times a second.
    open_file
        How files of the folder are opened.
    backoff
        When a store that does not answer is asked again.

    Raises
    ------
    ConfigurationError
        If the store lies in the folder: it would be uploaded into itself.
    """

    def __init__(
        self,
        folder: Path,
        destination: Destination,
        journal: Journal,
        options: Options | None = None,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        open_file: Open = open_to_read,
        backoff: Backoff | None = None,
    ) -> None:
        root = destination.store.local_path("")
        if root is not None and root.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(f"the store {root} lies in the folder {folder}; give one outside it")
        self.folder, self.destination, self.journal = folder, destination, journal
        self.options, self.report = options or Options(), report
        patience_s = None if self.options.follow else self.options.patience_s
        self.watched = WatchedFolder(folder, destination, patience_s=patience_s)
        self.transfer = Transfer(folder, destination, open_file)
        self.backoff = backoff or Backoff()
        self.ledger = Ledger(
            settle_s=self.options.settle_s,
            manifest_wait_s=self.options.manifest_wait_s,
            last=self.options.end_marker,
        )
        self.tally = Tally(time.monotonic())
        self._changed = threading.Condition()
        self._there: dict[str, StoredObject] | None = None
        self._is_listing = self._is_ended = self._is_last_round = self._is_compared = False
        self._alive = 0
        self._error: Exception | None = None

    def run(self, stop: threading.Event | None = None) -> Summary:
        """Upload until the end, or until ``stop`` is set; what is in flight then is still finished.

        Raises
        ------
        OSError
            If the folder cannot be read.
        PlateError
            If the store refuses to be listed at all.
        """
        stop = stop or threading.Event()
        with os.scandir(self.folder):  # a folder that is not there is told at once
            pass
        for _ in range(FINAL_ROUNDS):
            self._transfer_all(stop)
            differing = self._compare(stop)
            if not differing:
                break
            self._is_last_round = True
            for entry in differing:
                self.ledger.resend(entry)
        else:
            for entry in self.ledger.of("ready"):
                self.ledger.fail(entry, time.monotonic(), "the store has another content again and again; find out why")
        done, waiting = self.ledger.of("done"), self.ledger.count(*OPEN)
        record = self._write_record(done, stop) if self.tally.size_sent and self._is_compared else ""
        failed = [Refusal(entry.path, entry.reason) for entry in self.ledger.of("failed")]
        experiment, plate = self.destination.names
        return Summary(
            source=str(self.folder),
            store=self.destination.store.url,
            experiment=experiment,
            plate=plate,
            files=len(done),
            size=self.ledger.size("done"),
            refused=(*self.watched.refused, *failed),
            waiting=waiting,
            vanished=self.ledger.vanished,
            checked=self.destination.checks,
            is_compared=self._is_compared,
            record=record,
            **self.tally.figures(),
        )

    def _transfer_all(self, stop: threading.Event) -> None:
        """Let threads transfer until nothing is left to do, or until ``stop`` is set."""
        self._is_ended = False
        threads = [
            threading.Thread(target=self._work, name=f"transfer-{number}", daemon=True)
            for number in range(self.options.transfers)
        ]
        self._alive = len(threads)
        for thread in threads:
            thread.start()
        try:
            self._follow(stop)
        finally:
            self._end(threads)

    def _follow(self, stop: threading.Event) -> None:
        """Look at the folder until nothing is left to do."""
        last_change = time.monotonic()
        while not stop.is_set():
            began = time.monotonic()
            changes = self._look()
            looked = time.monotonic()
            if changes or self.ledger.count(*OPEN):
                last_change = looked
            elif self._is_over(looked - last_change):
                return
            self._rest(stop, looked + max(self.options.rescan_s, (looked - began) / LOOK_SHARE))

    def _is_over(self, idle_s: float) -> bool:
        """Whether to end, now that nothing changed and nothing is open."""
        options = self.options
        if self.watched.away_since is not None or self._there is None:
            return False
        if not options.follow or self._is_last_round:
            return True
        marker = self.ledger.entries.get(options.end_marker) if options.end_marker else None
        if marker is not None and marker.state == "done":
            return True
        self.ledger.retry_failed(time.monotonic())
        return options.until_idle_s is not None and idle_s >= options.until_idle_s

    def _look(self) -> int:
        """Take in what lies in the folder now; returns how many files are new, changed or gone."""
        found = self.watched.look()
        if found is None:
            return 0
        with self._changed:
            changes = self.ledger.see(found, time.monotonic(), time.time())
            self._changed.notify_all()
        return changes

    def _rest(self, stop: threading.Event, until: float) -> None:
        """Report until the next look is due, all is sent, or the upload is stopped."""
        while not stop.is_set():
            self.report(self.progress())
            with self._changed:
                if self._error is not None:
                    raise self._error
                if self._alive < self.options.transfers:
                    raise RuntimeError("a transfer ended by a fault of the program; the message above says more")
                left = until - time.monotonic()
                if left <= 0 or (self._is_all_sent() and not self.options.follow):
                    return
                self._changed.wait(min(TICK_S, left))

    def _is_all_sent(self) -> bool:
        return not self.ledger.count(*OPEN) and self._there is not None and self.watched.away_since is None

    def _work(self) -> None:
        """Transfer files, one after the other, until the end."""
        try:
            while True:
                with self._changed:
                    while (job := self._next()) is None:
                        if self._is_ended:
                            return
                        self._changed.wait(TICK_S)
                if isinstance(job, Entry):
                    self._transfer(job)
                else:
                    self._list()
        finally:
            with self._changed:
                self._alive -= 1
                self._changed.notify_all()

    def _next(self) -> Entry | bool | None:
        """What a transfer does next: a file, ``True`` for listing the store, nothing. Called with the lock."""
        now = time.monotonic()
        if self._is_ended or self._is_listing or not self.backoff.may_try(now):
            return None
        if self._there is None:
            self._is_listing = True
            return True
        entry = self.ledger.take(now)
        if entry is None:
            self.backoff.unused()
        return entry

    def _list(self) -> None:
        """Learn what the store has."""
        try:
            there = self.destination.list()
        except (Unavailable, ChangedObjectError) as error:
            with self._changed:
                self._is_listing = False
                self._missed(error)
        except (OSError, ValueError) as error:  # it answers, and will not be listed: the caller gets to know
            with self._changed:
                self._is_listing, self._error = False, error
        else:
            with self._changed:
                self._is_listing, self._there = False, there
                self.backoff.answered()
                self._changed.notify_all()

    def _transfer(self, entry: Entry) -> None:
        file = SourceFile(entry.path, entry.size, entry.mtime_ns)
        rested_s = time.monotonic() - entry.since
        assert self._there is not None
        there, noted = self._there.get(file.path), self.journal.get(file.path, file.size, file.mtime_ns)
        try:
            sent = self.transfer.run(file, there, noted, takes_cut=rested_s >= self.options.patience_s)
        except NotReadyError as error:
            with self._changed:
                self._wait(entry, error)
        except RefusedNameError as error:
            with self._changed:
                self._refuse(entry, error)
        except StoredDataError:
            with self._changed:
                self.backoff.answered()
                self.tally.retries += 1
                self.ledger.unsent(entry)
        except Unavailable as error:
            with self._changed:
                self._missed(error)
                self.ledger.unsent(entry)
        else:
            with self._changed:
                self._take_back(entry, sent, noted)

    def _wait(self, entry: Entry, error: NotReadyError) -> None:
        now = time.monotonic()
        waited_s = 0.0 if entry.waits_since is None else now - entry.waits_since
        self.backoff.unused()
        if isinstance(error, LockedFileError) and waited_s >= self.options.lock_patience_s:
            self.ledger.fail(entry, now, f"{error}; close the program that has it, or give this user permission")
        else:
            self.ledger.wait(entry, now, max(self.options.settle_s, PAUSE_S / 10), str(error))

    def _refuse(self, entry: Entry, error: RefusedNameError) -> None:
        self.backoff.answered()
        if entry.tries + 1 < REFUSED_TRIES:
            self.tally.retries += 1
            self.ledger.wait(entry, time.monotonic(), PAUSE_S, error.message)
        else:
            self.ledger.fail(entry, time.monotonic(), error.message)

    def _missed(self, error: Exception) -> None:
        self.tally.retries += 1
        self.backoff.failed(time.monotonic(), getattr(error, "message", str(error)))

    def _take_back(self, entry: Entry, sent: Sent, noted: Noted | None) -> None:
        assert self._there is not None
        self.ledger.done(entry, sent.sums, sent.token)
        self._there[entry.path] = StoredObject(entry.path, sent.sums.size, sent.token, 0.0)
        if noted is None or noted.token != sent.token:
            self.journal.note(entry.path, entry.mtime_ns, sent.sums, sent.token)
        self.tally.take(entry.path, sent, time.monotonic())
        if sent.how == "present":
            self.backoff.unused()
        else:
            self.backoff.answered()
        if not self.ledger.count(*OPEN):
            self._changed.notify_all()

    def _end(self, threads: list[threading.Thread]) -> None:
        """Let the transfers finish what they have in hand."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
        until = time.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _compare(self, stop: threading.Event) -> list[Entry]:
        """Hold the whole store against what was sent; returns the files whose objects differ.

        An upload that was stopped is compared too, if all was sent and the store answers within a moment.
        """
        if stop.is_set():
            if self.ledger.count(*OPEN) or self.backoff.away_since is not None:
                return []
            stop = threading.Event()
            limit = threading.Timer(STOP_S, stop.set)
            limit.daemon = True  # the process does not wait for it
            limit.start()
        there = self._patiently(self.destination.list, stop)
        if there is None:
            return []
        self._there = there
        differing = [entry for entry in self.ledger.of("done") if not self._is_there(entry, there, stop)]
        self._is_compared = not stop.is_set()
        return differing if self._is_compared else []

    def _is_there(self, entry: Entry, listed: dict[str, StoredObject], stop: threading.Event) -> bool:
        there, sums = listed.get(entry.path), entry.sums
        if there is None or sums is None or there.size != sums.size:
            return False
        if there.token == entry.token:
            return True
        return bool(self._patiently(lambda: self.destination.agrees(entry.path, there, sums), stop))

    def _patiently(self, ask: Callable[[], Answer], stop: threading.Event) -> Answer | None:
        """Ask the store until it answers; nothing if the upload is stopped meanwhile."""
        while not stop.is_set():
            if not self.backoff.may_try(time.monotonic()):
                stop.wait(TICK_S)
                self.report(self.progress())
                continue
            try:
                answer = ask()
            except Unavailable as error:
                self._missed(error)
            else:
                self.backoff.answered()
                return answer
        return None

    def progress(self) -> Progress:
        """Where the upload stands now."""
        now = time.monotonic()
        with self._changed:
            away, missed = self.backoff.away_since, self.watched.away_since
            return self.tally.progress(
                self.ledger,
                now=now,
                refused=len(self.watched.refused),
                away_s=None if away is None else now - away,
                folder_away_s=None if missed is None else now - missed,
                reason=self.watched.reason if missed is not None else self.backoff.reason,
            )

    def _write_record(self, done: list[Entry], stop: threading.Event) -> str:
        key, data = make_record(*self.destination.names, done)
        return key if self._patiently(lambda: self.destination.store.create(key, data), stop) else ""
