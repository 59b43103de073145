"""What the workers' log says: which process began which site, and how that ended."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_FAILED = re.compile(r"Key: +site-([^-]+)-([^-]+)-.+-([A-Z]+\d+-\d+)-[0-9a-f]{20}-\d+$")
_ERROR = re.compile(r"Exception: [\"'](\w+)\(")
_LINE = re.compile(r" (\d+): (\S+) (\S+) site (\d+): (begun|found|\w+ after)")


@dataclass(frozen=True)
class LogLine:
    """One line of the workers' log: a process began a site of a plate, found its end recorded, ended it, or failed."""

    pid: int
    plate: str
    site: str
    what: str
    error: str = ""
    """Kind of error by which it failed."""


@dataclass(frozen=True)
class Work:
    """All that was begun up to a moment; a site is named by its plate, well and number.

    ``failed`` counts by kind of error, and by site within it. ``running`` says what each process last began and has not
    ended, whether that process still lives or not.
    """

    begun: Counter[str]
    found: Counter[str]
    ended: Counter[str]
    failed: dict[str, Counter[str]]
    running: dict[int, str]

    def redone(self, needed: Counter[str], forgiven: Iterable[str] = ()) -> Counter[str]:
        """How often each site was worked at beyond what was needed and what failed by an error that is forgiven.

        What is still running may yet be found done, and is left out.
        """
        failed = sum((self.failed.get(error, Counter()) for error in forgiven), Counter[str]())
        return self.begun - self.found - failed - needed - Counter(self.running.values())


def log_lines(log: Path) -> Iterator[LogLine]:
    """What the workers' log says, in order."""
    failed = None
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        if match := _LINE.search(line):
            yield LogLine(int(match[1]), match[2], f"{match[3]}-{match[4]}", match[5])
        elif match := _FAILED.search(line):
            failed = LogLine(0, f"{match[1]}/{match[2]}", match[3], "failed")
        elif failed and (match := _ERROR.match(line)):
            yield replace(failed, error=match[1])
            failed = None


def read_work(lines: Iterable[LogLine]) -> Work:
    """Sum up the lines of a log."""
    work = Work(Counter(), Counter(), Counter(), {}, {})
    for line in lines:
        site = f"{line.plate} {line.site}"
        if line.what == "begun":
            work.begun[site] += 1
            work.running[line.pid] = site
        elif line.what == "failed":
            work.failed.setdefault(line.error, Counter())[site] += 1
            for pid in [pid for pid, running in work.running.items() if running == site]:
                del work.running[pid]
        else:
            (work.found if line.what == "found" else work.ended)[site] += 1
            work.running.pop(line.pid, None)
    return work
