"""The long form of the fuzz suite: each kind of input in a process of its own, with limits of time and memory.

    python -m tests.fuzz.campaign [--cases 10000] [--seed N] [--only TARGET ...]

prints the seed first and a table at the end: target, cases, seconds, crashes. A crash is an exception that is no
PlateError, a broken contract, a case that took more than two seconds of the CPU or 500 MB, or one that ended or held up
its process. Of each place where it crashes the smallest case is kept in .cache/fuzz, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.promise import Target
from tests.fuzz.targets import TARGETS
from tests.parts import ROOT

LIMIT_S, LIMIT_MB = 2.0, 500
PATIENCE_S = 300.0
"""Seconds without an end of a case after which its process is stopped: long, for a busy machine is no hang."""
ROOM = 4 << 30
"""Bytes of address space that a target may take beyond those of its process at the start."""
KEPT = ROOT / ".cache" / "fuzz"


@dataclass
class Findings:
    """What a target's cases gave: how many there were, and the smallest case of each place of a crash."""

    cases: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    megabytes: float = 0.0
    crashes: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def add(self, place: str, case: str, words: str) -> None:
        """Note a crash, unless a smaller case of the same place is known."""
        known = self.crashes.get(place)
        if known is None or len(case) < known[0]:
            self.crashes[place] = len(case), case, words


def try_target(target: Target, cases: int, number: int, current: Path) -> Findings:
    """Try so many cases of a target; before each, write down which one it is."""
    found = Findings()
    started = time.monotonic()
    before = _peak_mb()

    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.cases)
    def attempt(case: Any) -> None:
        nonlocal before
        found.cases += 1
        shown = _show(case)
        current.write_text(shown)
        begun = time.process_time()
        try:
            target.attempt(case)
        except Exception as error:  # noqa: BLE001 whatever comes is what is looked for
            found.add(_place_of(error), shown, "".join(traceback.format_exception(error))[-4_000:])
        took, peak = time.process_time() - begun, _peak_mb()
        found.slowest = max(found.slowest, took)
        if took > LIMIT_S:
            found.add("slow", shown, f"took {took:.1f} s of the CPU")
        if peak - before > LIMIT_MB:
            found.add("large", shown, f"took {peak - before:.0f} MB")
        found.megabytes = max(found.megabytes, peak - before)
        before = max(before, peak)

    attempt()
    found.seconds = time.monotonic() - started
    return found


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _show(case: Any) -> str:
    """A case as text that Python reads back."""
    return repr(case)


def _place_of(error: BaseException) -> str:
    """Kind of an exception, and the innermost line of our own code that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(f"/{name}/" in frame.filename for name in ("imaging", "flows", "kernels"))]
    last = (ours or frames)[-1]
    words = str(error).splitlines()[0][:60] if isinstance(error, AssertionError) and str(error) else ""
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno} {words}".strip()


def _in_child(target: Target, cases: int, number: int) -> Findings:
    """Try a target in a process of its own, which is stopped when a case holds it up."""
    KEPT.mkdir(parents=True, exist_ok=True)
    current, result = KEPT / f"{target.name}.current", KEPT / f"{target.name}.json"
    result.unlink(missing_ok=True)
    current.write_text("")
    child = os.fork()
    if child == 0:
        _limit_memory()
        logging.disable()
        warnings.simplefilter("error")
        status = 1
        try:
            result.write_text(json.dumps(vars(try_target(target, cases, number, current))))
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.time() - current.stat().st_mtime > PATIENCE_S:
            os.kill(child, 9)
            os.waitpid(child, 0)
            break
        time.sleep(0.05)
    if result.exists():
        return Findings(**json.loads(result.read_text()))
    lost = Findings()
    lost.add("lost", current.read_text(), "the process ended or was held up at this case")
    return lost


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the targets one after the other and print the table; 1 if one crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.campaign", description=main.__doc__)
    parser.add_argument("--cases", type=int, default=2_000, help="cases of each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", nargs="*", default=list(TARGETS), help="targets, all by default")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    print(f"{'target':32} {'cases':>8} {'seconds':>8} {'slowest s':>10} {'MB':>6} {'crashes':>8}")
    total = Findings()
    for name in options.only:
        found = _in_child(TARGETS[name], options.cases, options.seed)
        _print_row(name, found)
        total.cases, total.seconds = total.cases + found.cases, total.seconds + found.seconds
        total.slowest, total.megabytes = max(total.slowest, found.slowest), max(total.megabytes, found.megabytes)
        for place, crash in found.crashes.items():
            total.crashes[f"{name}: {place}"] = crash
    _print_row("all", total)
    for number, (place, (_, case, words)) in enumerate(total.crashes.items(), start=1):
        file = KEPT / f"crash-{number:03d}.txt"
        file.write_text(f"{place}\n\n{case}\n\n{words}\n", errors="backslashreplace")
        print(f"\n{place}  ({file.relative_to(ROOT)})\n  {case[:300]}\n  {words.strip().splitlines()[-1][:300]}")
    return 1 if total.crashes else 0


def _print_row(name: str, found: Findings) -> None:
    row = f"{name:32} {found.cases:8,} {found.seconds:8.1f} {found.slowest:10.2f} {found.megabytes:6.0f}"
    print(f"{row} {len(found.crashes):8}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
