"""A plate corrected with its own field: two phases under every interleaving, death and order of arrival."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import settings

from imaging.records import field_key
from imaging.steps import record_attempt, site_task
from tests.imaging.model_store import Stage
from tests.imaging.test_protocol import (
    BAD,
    EXPERIMENT,
    GOOD,
    IMAGES,
    PATIENCE_S,
    SETTINGS,
    Protocol,
    World,
    differences,
    settle,
)

OWN_FIELD = b"illumination: {source: plate, variant: mean}\n"


class TwoPhaseWorld(World):
    """A plate that is corrected with its own field."""

    text = EXPERIMENT.replace(b"images: none", b"images: zarr") + OWN_FIELD


class TwoPhases(Protocol):
    """The same uploads, followers, slow workers, deaths and clocks."""

    make_world = TwoPhaseWorld

    def every_record_names_whole_data(self) -> None:
        super().every_record_names_whole_data()
        objects = self.world.store.objects
        is_published = any("/publications/" in key for key in objects)  # after that nothing rests on previews
        for key, item in list(objects.items()):
            if "/sites/" in key or ("/previews/" in key and not is_published):
                named = json.loads(item.data)["zarr"]["objects"]
            elif key.endswith("/illumination.json"):
                named = [described] if (described := json.loads(item.data)["field"]) else []
            else:
                continue
            for described in named:
                if not self.is_new(key, described["key"]):
                    continue
                data = objects[described["key"]].data
                assert (len(data), f"{zlib.crc32(data):08x}") == (described["size_bytes"], described["crc32"])

    def give_what_was_decided(self, calm: World) -> None:
        """The field is a function of the sites it was frozen with: the calm world gets the same one."""
        freeze_alike(calm, self.world)


def freeze_alike(calm: World, world: World) -> None:
    key = field_key(world.job.prefix)
    if key in world.store.objects:
        frozen = world.store.objects[key]
        calm.store.put(key, frozen.data)
        field = json.loads(frozen.data)["field"]
        if field:
            calm.store.put(field["key"], world.store.objects[field["key"]].data)


TestTwoPhases = TwoPhases.TestCase
TestTwoPhases.settings = settings(SETTINGS, max_examples=40)


def upload_all(world: World) -> None:
    for image, data in zip(IMAGES, GOOD, strict=False):
        world.raw.put(f"{image}.tif", data)


def calm_tables() -> dict[str, Any]:
    calm = TwoPhaseWorld()
    upload_all(calm)
    settle(calm)
    return calm.tables()


def states(world: World) -> list[str]:
    return [site.state for site in world.survey().sites]


def test_features_wait_until_every_site_has_shown_its_images() -> None:
    world = TwoPhaseWorld()
    world.raw.put("A01_DNA.tif", GOOD[0])
    world.raw.put("A01_GFP.tif", GOOD[1])
    for _ in range(3):
        world.follow_once()
    assert states(world) == ["previewed", "waiting"]
    assert not world.survey().is_field_due
    assert world.survey().records.manifests == frozenset()
    upload_all(world)
    world.follow_once()
    world.follow_once()
    world.follow_once()
    assert states(world) == ["done", "done"]


def test_a_plate_without_any_measurable_site_freezes_nothing_and_comes_to_rest() -> None:
    world = TwoPhaseWorld()
    world.raw.put("A01_DNA.tif", BAD)
    world.clock.now += PATIENCE_S + 1
    settle(world)
    assert states(world) == ["missing", "missing"]
    assert field_key(world.job.prefix) not in world.store.objects


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_arrival_changes_no_value(seed: int) -> None:
    world = TwoPhaseWorld()
    images = list(zip(IMAGES, GOOD, strict=False))
    random.Random(seed).shuffle(images)
    for image, data in images:
        world.raw.put(f"{image}.tif", data)
        if seed % 2:
            world.follow_once()
    settle(world)
    assert not differences(world.tables(), calm_tables())


def test_two_followers_that_take_turns_freeze_one_field_and_leave_nothing_behind() -> None:
    for offset in range(0, 60, 7):
        world, stage = TwoPhaseWorld(), Stage()
        upload_all(world)
        world.store.gate = world.raw.gate = stage.gate
        followers = [stage.start(lambda world=world: [world.follow_once() for _ in range(4)], name) for name in "ab"]
        for _ in range(offset):
            followers[0].step()
        for actor in itertools.islice(itertools.cycle(followers), 2000):
            actor.step()
        for actor in followers:
            actor.finish()
            assert actor.error is None
        world.store.gate = world.raw.gate = lambda verb: ""
        settle(world)
        assert not differences(world.tables(), calm_tables())
        fields = [key for key in world.store.objects if "/fields/" in key]
        assert fields == [json.loads(world.store.read(field_key(world.job.prefix)))["field"]["key"]]
        assert not world.store.overwritten


def test_a_follower_killed_anywhere_costs_nothing_but_time() -> None:
    expected = calm_tables()
    for steps in range(0, 130, 3):
        world, stage = TwoPhaseWorld(), Stage()
        upload_all(world)
        world.store.gate = world.raw.gate = stage.gate
        actor = stage.start(lambda world=world: [world.follow_once() for _ in range(4)], "follower")
        for _ in range(steps):
            actor.step()
        actor.kill()
        world.store.gate = world.raw.gate = lambda verb: ""
        settle(world)
        assert not differences(world.tables(), expected), steps
        assert not world.store.overwritten
    assert actor.is_killed


def test_a_late_image_is_corrected_with_the_frozen_field_and_needs_no_preview() -> None:
    world = TwoPhaseWorld()
    for image in IMAGES[:3]:
        world.raw.put(f"{image}.tif", GOOD[IMAGES.index(image)])
    world.clock.now += 101
    settle(world)
    frozen = world.store.read(field_key(world.job.prefix))
    assert states(world) == ["done", "done"]
    previews = world.survey().records.previews
    upload_all(world)
    settle(world)
    assert world.store.read(field_key(world.job.prefix)) == frozen
    assert world.survey().records.previews == previews
    calm = TwoPhaseWorld()
    freeze_alike(calm, world)
    upload_all(calm)
    settle(calm)
    assert not differences(world.tables(), calm.tables())


def test_a_site_that_fails_in_the_first_phase_is_tried_again_in_the_second() -> None:
    world = TwoPhaseWorld()
    upload_all(world)
    for _ in range(3):
        record_attempt(world.job, world.survey().todo[0], "ValueError: no")
    world.follow_once()
    assert states(world) == ["failed", "previewed"]
    world.follow_once()
    world.follow_once()
    assert states(world) == ["done", "done"]


def test_a_slow_worker_adds_no_preview_once_the_field_is_frozen() -> None:
    world = TwoPhaseWorld()
    upload_all(world)
    late = site_task(world.job, world.survey().todo[0])
    settle(world)
    key = f"{world.job.prefix}previews/{late.plan.name}.json"
    world.store.delete(key)
    world.process(late)
    assert key not in world.store.objects


def test_a_damaged_preview_is_made_again_before_the_field_is_frozen() -> None:
    world = TwoPhaseWorld()
    upload_all(world)
    world.follow_once()
    name = world.survey().of("previewed")[0].name
    key = f"{world.job.prefix}previews/{name}.json"
    world.store.delete(key)
    world.store.put(key, b"")
    settle(world)
    assert not differences(world.tables(), calm_tables())


def test_a_plate_whose_every_site_failed_freezes_nothing_and_is_published() -> None:
    world = TwoPhaseWorld()
    upload_all(world)
    for well in ("A01", "A02"):
        for _ in range(3):
            site = next(site for site in world.survey().todo if site.well == well)
            record_attempt(world.job, site, "ValueError: no")
    settle(world)
    assert field_key(world.job.prefix) not in world.store.objects
    assert [row["state"] for row in world.tables()["sites"]] == ["failed", "failed"]
