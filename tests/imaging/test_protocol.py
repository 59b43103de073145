"""The protocol under every interleaving that hypothesis finds: nothing lost, nothing half, nothing different.

Followers and slow old workers run the real planning, site and publication code in threads that take one storage call
at a time; between any two calls the test may let another one go on, kill it, upload, replace, corrupt, move the clock,
put every clock but the store's wrong, sweep, or let the storage fail in one of its ways.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imaging.errors import StoreUnavailableError
from imaging.experiment import read_experiment
from imaging.job import PlateJob
from imaging.measure_cells import NOT_MEASURED
from imaging.planning import Plan
from imaging.publication import is_current, publish
from imaging.records import projected_key
from imaging.site import SiteMeasurement, process_site, read_part
from imaging.steps import decide_due, plan_work, record_attempt, site_task
from imaging.sweep import GRACE_S, find_unreferenced, sweep
from tests.imaging.model_store import Actor, Clock, ModelStore, Stage

EXPERIMENT = b"""
name: screen
channels:
  - {name: DNA, role: nucleus, full_scale: 255}
  - {name: GFP, role: cell, full_scale: 255}
layout: {wells: 96, imaged: [A01-A02], sites: 1}
files: {pattern: '(?P<well>[A-H][0-9]+)_(?P<channel>[A-Z]+)(_again)?[.]tif'}
recipe: {nuclei: {diameter_px: [1, 2]}, features: {families: Intensity, whole_images: no}}
patience: 100
images: none
"""
IMAGES = [f"{well}_{channel}" for well in ("A01", "A02") for channel in ("DNA", "GFP")]
PATIENCE_S = 100.0
FRESH = itertools.count()
BAD_DAYS = st.just(0) | st.integers(1, 30)


def tiff(value: int) -> bytes:
    """An image whose pixels say which one it is, by their brightness and how it falls off."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, (10 * value + np.arange(16).reshape(4, 4) * (value % 4)).astype(np.uint8))
    return buffer.getvalue()


GOOD = [tiff(value) for value in range(1, 7)]
BAD = GOOD[0][: len(GOOD[0]) - 5]


def measure_sum(planes: dict[str, np.ndarray], pins: dict[str, Any], field: Any = None) -> SiteMeasurement:
    """A measurement that differs whenever a pixel or its correction differs."""
    corrected = field.correct(planes) if field else planes
    sums = {f"Nuclei_Intensity_MeanIntensity_{name}": [float(plane.sum())] for name, plane in corrected.items()}
    cells = pa.table({"ObjectNumber": pa.array([1], pa.int32()), **sums})
    metrics = tuple({"channel": name, "MeanIntensity": float(plane.mean())} for name, plane in planes.items())
    stack = np.stack(list(planes.values()))
    return SiteMeasurement(metrics, {"Nuclei": 1, "Cells": 1}, cells, NOT_MEASURED[1], {}, stack, 1)


class World:
    """A store, a raw folder and a clock."""

    text = EXPERIMENT

    def __init__(self, make_store: Callable[[str, Clock], ModelStore] = ModelStore) -> None:
        self.clock = Clock()
        self.store = make_store(f"memory://protocol-{next(FRESH)}", self.clock)
        self.raw = ModelStore("memory://raw", self.clock)
        experiment = read_experiment(self.text)
        self.job = PlateJob(self.store, self.raw, "", experiment, "P1", self.store, "", 0.0)

    def survey(self) -> Plan:
        return self.job.survey(self.clock.told)

    def follow_once(self) -> None:
        """One round of a follower: decide, process what is to do, publish, note that the page is written."""
        plan = plan_work(self.job, self.clock.told)
        decide_due(self.job, plan)
        for site in plan.todo:
            with contextlib.suppress(StoreUnavailableError):  # such a site is tried again
                self.process(site_task(self.job, site))
        publication = publish(self.job)
        if publication:
            self.store.create(projected_key(self.job.prefix, publication.number, publication.state), b"{}")

    def process(self, task: Any) -> None:
        pins = self.job.ensure_pins()
        process_site(task, measure_sum, pins=pins, store=self.store, raw=self.raw)

    def sweep(self) -> None:
        """One look of the watcher at a plate that is closed."""
        sweep(self.job)

    def tables(self) -> dict[str, Any]:
        """Rows of the current publication."""
        last = self.survey().records.last_publication
        record = json.loads(self.store.read(f"{self.job.prefix}publications/{last:06d}.json"))
        named = {name: key for name, key in record["tables"].items() if name != "site_runs"}
        return {name: read_rows(self.store.read(key)) for name, key in named.items()}


def read_rows(data: bytes) -> list[dict[str, Any]]:
    """Rows of a Parquet file; ``pq.read_table`` takes three times as long for so few."""
    return pq.ParquetFile(io.BytesIO(data)).read(use_threads=False).to_pylist()


class Protocol(RuleBasedStateMachine):
    """Uploads, followers, slow workers, deaths and clocks in any order."""

    make_store: Callable[[str, Clock], ModelStore] = ModelStore
    make_world: type[World] = World

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make_world(type(self).make_store)
        self.stage = Stage()
        self.world.store.gate = self.world.raw.gate = self.stage.gate
        self.old_tasks: list[Any] = []
        self.whole: set[tuple[str, ...]] = set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("imaging.grace.read_clocks", self.read_clocks)

    def read_clocks(self) -> tuple[float, float]:
        """The clocks of everybody but the store."""
        return self.world.clock.told, self.world.clock.now

    @rule(image=st.sampled_from(IMAGES), data=st.sampled_from([*GOOD, BAD]), suffix=st.sampled_from(["", "", "_again"]))
    def upload(self, image: str, data: bytes, suffix: str) -> None:
        """An image arrives, is replaced, comes damaged, or comes under a second name."""
        self.world.raw.put(f"{image}{suffix}.tif", data)

    @rule()
    def upload_all_that_is_missing(self) -> None:
        for image in IMAGES:
            if f"{image}.tif" not in self.world.raw.objects:
                self.world.raw.put(f"{image}.tif", GOOD[IMAGES.index(image)])

    @rule(seconds=st.sampled_from([1.0, 50.0, 150.0, 10_000.0, 100_000.0, -150.0]))
    def move_clock(self, seconds: float) -> None:
        """Time goes by; what was being created for a day has failed, whoever asks for it again."""
        self.world.clock.now += seconds
        for actor in self.running:
            if seconds > GRACE_S and actor.pending == "create":
                actor.refuses_next = True

    @rule(seconds=st.sampled_from([0.0, 100_000.0, -100_000.0, 3600.0]))
    def put_clocks_wrong(self, seconds: float) -> None:
        """All clocks but the store's jump."""
        self.world.clock.ahead = seconds

    @precondition(lambda self: len(self.running) < 3)
    @rule()
    def start_sweeper(self) -> None:
        self.stage.start(self.world.sweep, "sweeper")

    @rule()
    def sweep_between_two_calls_of_all_others(self) -> None:
        self.world.sweep()

    @precondition(lambda self: len(self.running) < 3)
    @rule(bad_day=BAD_DAYS)
    def start_follower(self, bad_day: int) -> None:
        """Somebody follows the plate for a round; on a bad day the storage fails him now and then."""
        self.stage.start(self.world.follow_once, "follower", bad_day)

    @rule()
    def remember_work(self) -> None:
        """A worker takes a site and falls asleep before its first step."""
        plan = self.world.survey()
        if plan.todo:
            self.world.job.ensure_pins()
            self.old_tasks.append(site_task(self.world.job, plan.todo[0]))

    @precondition(lambda self: self.old_tasks and len(self.running) < 3)
    @rule(which=st.integers(0, 9), bad_day=BAD_DAYS)
    def wake_slow_worker(self, which: int, bad_day: int) -> None:
        task = self.old_tasks.pop(which % len(self.old_tasks))
        self.stage.start(lambda: self.world.process(task), "slow worker", bad_day)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9), steps=st.integers(1, 25))
    def go_on(self, which: int, steps: int) -> None:
        actor = self.running[which % len(self.running)]
        for _ in range(steps):
            actor.step()
        self.raise_error(actor)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9), verb=st.sampled_from(["create", "write"]))
    def go_on_until_before(self, which: int, verb: str) -> None:
        """Let an actor go on to the next call that writes data, or a record."""
        actor = self.running[which % len(self.running)]
        actor.step()
        while not actor.is_over and actor.pending != verb:
            actor.step()
        self.raise_error(actor)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9))
    def kill(self, which: int) -> None:
        self.running[which % len(self.running)].kill()

    @property
    def running(self) -> list[Actor]:
        return [actor for actor in self.stage.actors if not actor.is_over]

    def raise_error(self, actor: Actor) -> None:
        if actor.error:
            raise actor.error

    @invariant()
    def nothing_is_overwritten(self) -> None:
        assert not self.world.store.overwritten

    @invariant()
    def no_record_names_what_is_not_there(self) -> None:
        """Also not between two calls within which it is noticed and mended."""
        assert not self.world.store.broken

    @invariant()
    def every_record_names_whole_data(self) -> None:
        objects = self.world.store.objects
        for key, item in list(objects.items()):
            if "/sites/" in key:
                record = json.loads(item.data)
                if self.is_new(key, record["part"]["key"]):
                    read_part(self.world.store, record)
            if "/publications/" in key:
                record = json.loads(item.data)
                if self.is_new(key, record["tables"]["sites"]):
                    sites = read_rows(objects[record["tables"]["sites"]].data)
                    assert len(sites) == len(self.world.job.experiment.expected_sites())
                    assert not {row["state"] for row in sites} - {"done", "failed", "missing"}

    def is_new(self, *keys: str) -> bool:
        """Whether objects in these versions are looked at for the first time; one that is gone is always new."""
        versions = tuple(found.token if (found := self.world.store.objects.get(key)) else "" for key in keys)
        seen = keys + versions
        if "" not in versions and seen in self.whole:
            return False
        self.whole.add(seen)
        return True

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            self.patch.undo()

    def end(self) -> None:
        """Let all end, look at what they left, and hold it against a calm world's."""
        for actor in self.stage.actors:
            actor.finish()
            self.raise_error(actor)
        self.world.store.gate = self.world.raw.gate = lambda verb: ""
        self.world.clock.ahead = 0.0
        self.nothing_is_overwritten()
        self.no_record_names_what_is_not_there()
        self.every_record_names_whole_data()
        for key in list(self.world.raw.objects):  # a wrong clock is set right before the end
            item = self.world.raw.objects[key]
            item.modified = min(item.modified, self.world.clock.now)
        self.world.clock.now += PATIENCE_S + 1
        settle(self.world)
        calm = type(self).make_world()
        calm.clock.now = self.world.clock.now
        self.give_what_was_decided(calm)
        calm.raw.objects = dict(self.world.raw.objects)
        settle(calm)
        if calm.raw.objects:
            assert not differences(self.world.tables(), calm.tables())
            self.nothing_is_left_behind()

    def nothing_is_left_behind(self) -> None:
        """A day later all that nobody names is gone, and nothing else."""
        world, rows = self.world, self.world.tables()
        world.clock.now += 2 * GRACE_S
        world.sweep()
        self.no_record_names_what_is_not_there()
        self.every_record_names_whole_data()
        assert not differences(world.tables(), rows)
        assert not find_unreferenced(world.job, grace_s=0.0, now=world.clock.now + 1)

    def give_what_was_decided(self, calm: World) -> None:
        """What a calm world cannot find out, as it depends on when somebody looked."""


def differences(found: dict[str, Any], calm: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Values that differ between two sets of tables: table, column, found, calm."""
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in calm.items()}
    return [
        (name, column, row[column], other[column])
        for name, rows in found.items()
        for row, other in zip(rows, calm[name], strict=True)
        for column in row
        if row[column] != other[column]
    ]


def settle(world: World) -> None:
    """Follow calmly until nothing is left to do; this must take a few rounds only."""
    for _ in range(8):
        world.follow_once()
        plan = world.survey()
        if not world.raw.objects or (not plan.due and plan.is_publishable and is_current(world.job, plan)):
            break
    else:
        raise AssertionError("the plate does not come to rest")
    count = len(world.store.objects)
    world.follow_once()
    assert len(world.store.objects) == count, "a plate at rest was processed again"


SETTINGS = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestProtocol = Protocol.TestCase
TestProtocol.settings = SETTINGS


def test_three_failures_end_a_site_and_the_plate_goes_on() -> None:
    world = World()
    for image, data in zip(IMAGES, GOOD, strict=False):
        world.raw.put(f"{image}.tif", data)
    for number in (1, 2, 3):
        site = world.survey().todo[0]
        assert site.attempts == number - 1
        record_attempt(world.job, site, "ValueError: no")
    settle(world)
    states = {row["well"]: row["state"] for row in world.tables()["sites"]}
    assert states == {"A01": "failed", "A02": "done"}
