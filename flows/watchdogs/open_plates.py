"""The plates that are not done, as the watcher's last looks showed them: what the watchdogs have to look at."""

from __future__ import annotations

import threading
from collections.abc import Set
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
        self._done: dict[tuple[str, str], set[str]] = {}
        self._is_complete = False
        self._loss = ""

    @property
    def loss(self) -> str:
        """Why the store's plates cannot be listed; empty where they can."""
        with self._lock:
            return self._loss

    @property
    def is_complete(self) -> bool:
        """Whether all plates of the store were looked at since the watcher began."""
        with self._lock:
            return self._is_complete

    def complete(self) -> None:
        """Take note that all plates were looked at once."""
        with self._lock:
            self._is_complete = True

    def lose(self, problem: str) -> None:
        """Take note of why the store's plates cannot be listed: what is known of them stays as it is."""
        with self._lock:
            self._loss = problem

    def regain(self, experiments: Set[str]) -> None:
        """Take note that they can be listed; faults of experiments that are none of these go with their folders."""
        with self._lock:
            self._loss = ""
            for key in [key for key in self._faults if key[0] not in experiments and not key[1]]:
                del self._faults[key]

    def note(self, job: PlateJob, refusal: str = "") -> None:
        """Take note of a plate that is not done."""
        with self._lock:
            self._open[job.experiment.name, job.plate, job.recipe] = OpenPlate(job.experiment, job.plate, refusal)

    def close(self, job: PlateJob) -> None:
        """Take note of a plate that is done, or to be left alone."""
        with self._lock:
            if self._open.pop((job.experiment.name, job.plate, job.recipe), None):
                self._done.setdefault((job.experiment.name, job.recipe), set()).add(job.plate)

    def fault(self, experiment: str, plate: str, recipe: str, problem: str) -> None:
        """Take note of why a plate, or without one the experiment, cannot be looked at."""
        with self._lock:
            self._faults[experiment, plate, recipe] = problem

    def mend(self, experiment: str, plate: str, recipe: str) -> None:
        """Take note that it can be looked at."""
        with self._lock:
            self._faults.pop((experiment, plate, recipe), None)

    def keep_recipes(self, experiment: str, plate: str, recipes: Set[str]) -> None:
        """Forget a plate under recipes that are none of these: it is not processed under them any more."""
        with self._lock:
            for known in (self._open, self._faults):
                for key in [key for key in known if key[:2] == (experiment, plate) and key[2]]:
                    if key[2] not in recipes:
                        del known[key]

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

    def take_done(self) -> dict[tuple[str, str], set[str]]:
        """Plates, by experiment and recipe, that were done since this was asked last."""
        with self._lock:
            done, self._done = self._done, {}
            return done
