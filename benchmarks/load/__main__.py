"""`make load`: put plates through, print a line every so many, write the result however it ends."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.load.docs import DOCS, fill
from benchmarks.load.figures import RunMemory, Sample, as_rows, figures_of, list_runs, take_sample
from benchmarks.load.lab import Lab, Options
from benchmarks.load.table import load_table
from benchmarks.results_file import write_result
from flows.supervise import interrupt_on_termination


class Load:
    """Puts plates through a lab and measures.

    Parameters
    ----------
    lab
        The services.
    say
        Takes a line for a person.
    """

    def __init__(self, lab: Lab, say: Callable[[str], None]) -> None:
        self.lab, self.say = lab, say
        self.uploaded: dict[str, float] = {}
        self.published: dict[str, float] = {}
        self.samples: list[Sample] = []
        self.ended = "stopped"
        self._memory = RunMemory(lab)
        self._began = self._moved = time.monotonic()

    def run(self) -> None:
        """Upload burst after burst, each when the last is nearly through, until all is published or nothing moves."""
        options = self.lab.options
        self._memory.start()
        self._sample()
        while len(self.published) < options.plates:
            waiting = set(self.uploaded) - set(self.published)
            if len(waiting) <= options.at_once and len(self.uploaded) < options.plates:
                self._upload(min(options.burst, options.plates - len(self.uploaded)))
            done = self.lab.published(waiting)
            self.published |= dict.fromkeys(sorted(done), time.time())
            if done:
                self._moved = time.monotonic()
            elif time.monotonic() - self._moved > options.stall_s:
                self.ended = f"nothing was published for {options.stall_s:g} s"
                return
            if len(self.published) - self.samples[-1].plates >= options.every:
                self._sample()
            time.sleep(0.25)
        self.ended = "complete"

    def _upload(self, count: int) -> None:
        for _ in range(count):
            plate = f"P{len(self.uploaded):05d}"
            self.lab.uploader.upload(plate)
            self.uploaded[plate] = time.time()
        self._moved = time.monotonic()

    def _sample(self) -> None:
        sample = take_sample(self.lab, time.monotonic() - self._began, len(self.published))
        self.samples.append(sample)
        self.say(
            f"{sample.plates:5d} plates after {sample.seconds:7.1f} s   memory "
            + ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in sample.rss_mb.items())
            + f"   database {sample.database_mb:.1f} MB   CPU "
            + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sample.cpu_s.items())
            + f", runs {sample.runs_cpu_s:.1f} s"
        )

    def result(self) -> dict[str, Any]:
        """Wait until runs have ended, look a last time, and give all figures."""
        self._memory.stop()
        if self.ended == "complete":
            self._wait_for_runs()
        self._sample()
        figures = figures_of(self.samples, list_runs(self.lab), self.uploaded, self.published)
        return {
            "options": asdict(self.lab.options),
            "ended": self.ended,
            "restarts": self.lab.supervisor.restarts,
            **figures,
            "cold_runs": self._count_cold_runs(),
            "forks_seen": len(self._memory.forks),
            "run_peak_rss_mb": round(self._memory.peak_mb, 1),
            "samples": as_rows(self.samples),
        }

    def _count_cold_runs(self) -> int:
        """Runs that started a Python of their own, as each of them says in the runner's log."""
        return (self.lab.folder / "logs" / "runner.log").read_text(errors="replace").count("no fork is to be had")

    def _wait_for_runs(self) -> None:
        """The last runs go on for a moment after their publications."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            states = {run["state_type"] for run in list_runs(self.lab)}
            if not states & {"RUNNING", "PENDING"}:
                return
            time.sleep(0.5)


def measure_load(folder: Path, options: Options, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Put plates through a lab of their own; an interruption ends the load early, with what was measured so far."""
    with Lab(folder, options) as lab:
        load = Load(lab, say)
        try:
            load.run()
        except KeyboardInterrupt:
            say("stopped; what was measured so far is written")
        return load.result()


def main() -> int:
    """Measure, and write the result beside those of other benchmarks; exit status 1 if the load did not end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--plates", type=int, default=60)
    parser.add_argument("--burst", type=int, default=20)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--store", choices=("folder", "bucket"), default="folder")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="keep data, logs and database in this new folder")
    values = vars(parser.parse_args())
    folder, options = values.pop("folder"), Options(**values)
    with interrupt_on_termination(), contextlib.ExitStack() as opened:
        if folder is None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="platestream-load-")))
        figures = measure_load(folder, options, lambda line: print(line, flush=True))
    name = f"load_{options.database}_{options.store}"
    table = load_table(figures)
    print(table)
    print(write_result(name, figures))
    if figures["ended"] == "complete":
        DOCS.write_text(fill(DOCS.read_text(), name, table))
    return 0 if figures["ended"] == "complete" else 1


if __name__ == "__main__":
    sys.exit(main())
