"""What is said about an upload: while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from imaging.upload.source import Refusal


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an upload stands; sizes in bytes, times in seconds.

    ``away_s`` is how long the store has not answered, ``reason`` what was said last; ``folder_away_s`` how long the
    folder itself cannot be read.
    """

    files: int
    done: int
    waiting: int
    size: int
    size_done: int
    size_per_s: float
    retries: int
    refused: int
    away_s: float | None
    folder_away_s: float | None
    reason: str = ""

    def sentence(self) -> str:
        """One line for people."""
        if self.folder_away_s is not None:
            return f"the folder cannot be read for {show_duration(self.folder_away_s)} ({self.reason})"
        if self.away_s is not None:
            waiting = f"{self.waiting:,} files wait" if self.waiting != 1 else "1 file waits"
            return f"the store has not answered for {show_duration(self.away_s)} ({self.reason}); {waiting}"
        parts = [
            f"{self.done:,} of {self.files:,} files",
            f"{show_size(self.size_done)} of {show_size(self.size)}",
            f"{show_size(self.size_per_s)}/s",
        ]
        parts += [f"{self.waiting:,} wait"] * bool(self.waiting)
        parts += [f"{self.retries:,} {'retry' if self.retries == 1 else 'retries'}"] * bool(self.retries)
        parts += [f"{self.refused:,} refused"] * bool(self.refused)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of an upload.

    Attributes
    ----------
    files, size
        Files that are in the folder and in the store with equal sums, and their bytes.
    sent, present
        How many of them were sent by this run, and how many were there before.
    size_sent
        Bytes that this run sent.
    replaced
        Files that took the place of another content in the store.
    cut_short
        Images that were sent although their structure has no end, and why it has none.
    refused
        Files that are not in the store, and why.
    waiting
        Files that were not sent yet when the run was stopped.
    vanished
        Files that went away, or got another name, before they were sent.
    retries
        Requests that failed and were made again.
    checked
        What was compared.
    is_compared
        Whether the comparison at the end was made.
    record
        Address of the list of names, sizes and sums in the store; empty if none was written.
    """

    source: str
    store: str
    experiment: str
    plate: str
    files: int
    size: int
    sent: int
    present: int
    size_sent: int
    replaced: tuple[str, ...]
    cut_short: tuple[Refusal, ...]
    refused: tuple[Refusal, ...]
    waiting: int
    vanished: int
    retries: int
    seconds: float
    checked: str
    is_compared: bool
    record: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether all that lies in the folder is in the store, as the comparison at the end says too."""
        return self.is_compared and not self.refused and not self.waiting

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON takes it."""
        return asdict(self) | {"is_complete": self.is_complete, "sums_equal": self.files}

    def sentences(self) -> list[str]:
        """The summary in lines for people."""
        lines = [
            f"{self.files:,} files ({show_size(self.size)}) are in the store, sums compared: {self.sent:,} sent, "
            f"{self.present:,} were there, in {show_duration(self.seconds)}",
            f"checked: {self.checked}",
        ]
        if not self.files and not self.refused and not self.waiting:
            lines.append("nothing was sent: the folder holds no file; is it the right one?")
        if not self.is_compared:
            lines.append("not checked: the comparison at the end, because the upload was stopped")
        if self.replaced:
            lines.append(f"replaced: {_some(self.replaced)} had another content in the store")
        lines += _some_refusals("incomplete", self.cut_short)
        lines += _some_refusals("refused", self.refused)
        if self.waiting:
            lines.append(f"not sent: {self.waiting:,} files; the same command goes on from here")
        if self.vanished:
            lines.append(f"gone: {self.vanished:,} files went away or got another name before they were sent")
        if self.retries:
            lines.append(f"retries: {self.retries:,}")
        return lines


def show_size(size: float) -> str:
    """A size in bytes as people read it: ``69.0 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def show_duration(seconds: float) -> str:
    """A duration as people read it: ``12 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _some_refusals(word: str, refusals: tuple[Refusal, ...], most: int = 20) -> list[str]:
    lines = [f"{word}: {refusal.name}: {refusal.reason}" for refusal in refusals[:most]]
    return lines + [f"{word}: and {len(refusals) - most:,} more files"] * (len(refusals) > most)
