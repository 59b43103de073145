"""The plates that are not done, as the watcher's last looks showed them: what the watchdogs have to look at."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from imaging.experiment import Experiment
from imaging.job import PlateJob

Key = tuple[str, str, str]
"""Experiment, plate and recipe; an empty plate or recipe is all of them."""


@dataclass(frozen=True, slots=True)
class OpenPlate:
    """A plate under one recipe that is not done, and why it gets no more work; empty where it gets some."""

    experiment: Experiment
    plate: str
    refusal: str = ""


class OpenPlates:
    """Plates that are not done, and what is wrong with some; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Key, OpenPlate] = {}
        self._faults: dict[Key, str] = {}
        self._done: set[tuple[str, str]] = set()

    def note(self, job: PlateJob, refusal: str = "") -> None:
        """Take note of a plate that is not done."""
        with self._lock:
            self._open[job.experiment.name, job.plate, job.recipe] = OpenPlate(job.experiment, job.plate, refusal)

    def close(self, job: PlateJob) -> None:
        """Take note of a plate that is done, or to be left alone."""
        with self._lock:
            if self._open.pop((job.experiment.name, job.plate, job.recipe), None):
                self._done.add((job.experiment.name, job.recipe))

    def fault(self, experiment: str, plate: str, recipe: str, problem: str) -> None:
        """Take note of why a plate, or without one the experiment, cannot be looked at."""
        with self._lock:
            self._faults[experiment, plate, recipe] = problem

    def mend(self, experiment: str, plate: str, recipe: str) -> None:
        """Take note that it can be looked at."""
        with self._lock:
            self._faults.pop((experiment, plate, recipe), None)

    def forget(self, experiment: str, plate: str) -> None:
        """Forget a plate whose folder is gone."""
        with self._lock:
            for known in (self._open, self._faults):
                for key in [key for key in known if key[:2] == (experiment, plate)]:
                    del known[key]

    def open(self) -> list[OpenPlate]:
        """Plates that are not done."""
        with self._lock:
            return list(self._open.values())

    def faults(self) -> dict[Key, str]:
        """What cannot be looked at, and why."""
        with self._lock:
            return dict(self._faults)

    def take_done(self) -> set[tuple[str, str]]:
        """Experiments and recipes of which a plate was done since this was asked last."""
        with self._lock:
            done, self._done = self._done, set()
            return done
