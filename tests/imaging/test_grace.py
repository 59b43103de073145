"""Data that waited too long for their record get none, and one clock that is ahead deletes nothing."""

from __future__ import annotations

import pytest

from imaging.grace import GRACE_S, LONGEST_WORK_S, Stopwatch
from imaging.names import hash_of
from imaging.records import clock_key, field_key
from imaging.site import SiteOutcome, process_site
from imaging.steps import plan_work, site_task
from imaging.sweep import find_unreferenced, sweep
from tests.imaging.model_store import ModelStore
from tests.imaging.test_illumination_protocol import TwoPhaseWorld
from tests.imaging.test_protocol import GOOD, IMAGES, World, measure_sum, settle


class Sleepy(ModelStore):
    """A store in front of which the process is stopped for a day, before it writes a thing that ``before`` names."""

    before, slept = "", 0

    def write(self, key: str, data: bytes) -> None:
        super().write(key, data)
        if self.before and self.before in key:
            self.clock.now += GRACE_S + 60.0
            self.before, self.slept = "", self.slept + 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return _world(World, monkeypatch)


def _world(kind: type[World], monkeypatch: pytest.MonkeyPatch) -> World:
    world = kind(Sleepy)
    monkeypatch.setattr("imaging.grace.read_clocks", lambda: (world.clock.told, world.clock.now))
    for image, data in zip(IMAGES, GOOD, strict=False):
        world.raw.put(f"{image}.tif", data)
    return world


@pytest.mark.parametrize(("wall", "steady"), [(LONGEST_WORK_S + 1.0, 5.0), (5.0, LONGEST_WORK_S + 1.0)])
def test_work_is_overdue_by_either_clock(monkeypatch: pytest.MonkeyPatch, wall: float, steady: float) -> None:
    clocks = [(1000.0, 10.0)]
    monkeypatch.setattr("imaging.grace.read_clocks", lambda: clocks[-1])
    watch = Stopwatch()
    clocks.append((1000.0 + LONGEST_WORK_S / 2, 10.0 + LONGEST_WORK_S / 2))
    assert not watch.is_overdue
    clocks.append((1000.0 + wall, 10.0 + steady))
    assert watch.is_overdue
    assert watch.seconds == steady


def test_a_site_that_was_stopped_for_a_day_before_its_manifest_leaves_nothing(world: World) -> None:
    plan = plan_work(world.job, world.clock.now)
    world.store.before = "/parts/"
    task = site_task(world.job, plan.todo[0])
    pins = world.job.ensure_pins()
    assert process_site(task, measure_sum, pins=pins, store=world.store, raw=world.raw) == SiteOutcome("changed")
    assert not [key for key in world.store.objects if "/sites/" in key or "/parts/" in key]
    settle(world)


def test_a_publisher_that_was_stopped_for_a_day_before_its_record_publishes_again(world: World) -> None:
    world.store.before = "/published/"
    settle(world)
    assert world.store.slept == 1
    assert len([key for key in world.store.objects if "/publications/" in key]) == 1
    assert not find_unreferenced(world.job, grace_s=0.0, now=world.clock.now + 1.0)


def test_a_field_that_waited_for_a_day_is_frozen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world(TwoPhaseWorld, monkeypatch)
    world.store.before = "/fields/"
    settle(world)
    assert world.store.slept == 1
    assert field_key(world.job.prefix) in world.store.objects
    assert (
        len([key for key in world.store.objects if "/recipe/fields/" in key or f"{world.job.prefix}fields/" in key])
        == 1
    )


@pytest.mark.parametrize("ahead_s", [2 * GRACE_S, -2 * GRACE_S])
def test_one_clock_that_is_wrong_deletes_no_young_data(world: World, ahead_s: float) -> None:
    """A run of another recipe has written data, and will record them in a moment."""
    settle(world)
    key = f"{world.job.prefix}parts/A01-1-{hash_of('young')}.arrow"
    world.store.write(key, b"young")
    world.clock.ahead = ahead_s
    assert sweep(world.job) == []
    world.clock.ahead = 0.0
    assert sweep(world.job) == []
    world.clock.now += GRACE_S + 60.0
    assert sweep(world.job) == [key]
    assert clock_key(world.job.prefix) in world.store.objects
