"""Bugs planted into the protocol: its model catches each within five seeds, so it would catch the next one too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from imaging.errors import LostDataError
from imaging.planning import Plan
from imaging.publication import publish
from imaging.records import projected_key
from imaging.steps import decide_due, plan_work, site_task
from imaging.sweep import sweep
from tests.imaging.model_store import Clock, ModelStore
from tests.imaging.test_protocol import SETTINGS, Protocol, World

SEEDS = range(1, 6)


class LateParts(ModelStore):
    """A site's data are written after its manifest."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url, clock)
        self.held: list[tuple[str, bytes]] = []

    def write(self, key: str, data: bytes) -> None:
        if "/parts/" in key:
            self.held.append((key, data))
        else:
            super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        is_new = super().create(key, data)
        while "/sites/" in key and self.held:
            super().write(*self.held.pop())
        return is_new


class MutableParts(ModelStore):
    """A site's data have one name for ever and are written again."""

    def write(self, key: str, data: bytes) -> None:
        super().write(_without_fresh(key), data)

    def create(self, key: str, data: bytes) -> bool:
        if "/sites/" in key:
            record = json.loads(data)
            record["part"]["key"] = _without_fresh(record["part"]["key"])
            data = json.dumps(record).encode()
        return super().create(key, data)


def _without_fresh(key: str) -> str:
    return key.rpartition("-")[0] + ".arrow" if "/parts/" in key else key


class LostRaces(ModelStore):
    """Who is told that an object is there does not look whether it is his own, whose answer was lost."""

    def is_ours(self, key: str, data: bytes) -> bool:
        return False


class ListsOnce(World):
    """A follower goes by its first look and does not list again."""

    seen: Plan | None = None

    def follow_once(self) -> None:
        plan = self.seen = self.seen or plan_work(self.job, self.clock.told)
        decide_due(self.job, plan)
        for site in plan.todo:
            self.process(site_task(self.job, site))
        publication = publish(self.job)
        if publication:
            self.store.create(projected_key(self.job.prefix, publication.number, publication.state), b"{}")


class OwnClockSweeps(World):
    """The sweeper goes by its own clock alone."""

    def sweep(self) -> None:
        sweep(self.job, now=self.clock.told)


class SweepsAtOnce(World):
    """The sweeper deletes what no record names, however young it is."""

    def sweep(self) -> None:
        sweep(self.job, grace_s=0.0, now=self.clock.now + 1.0)


def planted(**values: Any) -> type[Protocol]:
    """The model with a store or a world that has the bug."""
    return type("Planted", (Protocol,), values)


BUGS = {
    "a record before its data": (1, planted(make_store=LateParts)),
    "data under one name": (1, planted(make_store=MutableParts)),
    "a race that was won is taken for lost": (1, planted(make_store=LostRaces)),
    "no second listing": (1, planted(make_world=ListsOnce)),
    "a sweep by the clock of the sweeper": (4, planted(make_world=OwnClockSweeps)),
    "a sweep without grace": (4, planted(make_world=SweepsAtOnce)),
}
"""Each with a seed that catches it soon, which is tried before the others."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught_within_five_seeds(bug: str) -> None:
    first, machine = BUGS[bug]
    assert any(is_caught(machine, number) for number in sorted(SEEDS, key=lambda number: number != first))


def test_the_model_without_a_bug_is_not_caught_by_a_seed_that_catches_most() -> None:
    assert not is_caught(planted(), 1)


def is_caught(machine: type[Protocol], number: int) -> bool:
    """Whether the model breaks with this seed, by an assertion or because data are gone; any other error is a fault."""
    search = settings(SETTINGS, database=None, report_multiple_bugs=False, print_blob=False, phases=[Phase.generate])
    try:
        run_state_machine_as_test(seed(number)(machine), settings=search)
    except (AssertionError, LostDataError):
        return True
    return False
