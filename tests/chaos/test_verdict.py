"""The verdict on chaos finds nothing in a plate that is well, and each thing that is not."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from distributed import KilledWorker

from flows.follow import explain_failure
from imaging.arrivals import ImageFile
from imaging.faults import record_fault
from imaging.job import PlateJob
from imaging.publication import read_publication
from imaging.steps import record_attempt
from imaging.store import STAGING, FolderStore
from tests.chaos.delivery import Delivery, plan_delivery
from tests.chaos.objects import LATER_S, find_absent, find_staged, find_strays, judge_objects
from tests.chaos.onlooker import Onlooker
from tests.chaos.plates import PATIENCE_S, draw_plates
from tests.chaos.processes import Hit
from tests.chaos.tables import find_differences
from tests.chaos.verdict import OF_THE_STORE, Outcome, judge, judge_failures, judge_files
from tests.chaos.worker_log import Work, log_lines, read_work
from tests.following import follow

KILLED: Any = KilledWorker("site", None, 2)


@dataclass(frozen=True)
class Delivered:
    """A plate that came with all accidents and was followed to its last publication."""

    root: Path
    delivery: Delivery


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    root = tmp_path_factory.mktemp("delivered")
    store = FolderStore(root / "data")
    delivery = plan_delivery(draw_plates()[:1], random.Random(7), store.write)
    delivery.waits_before_late = 0
    delivery.declare()
    delivery.send(len(delivery.parcels))
    (job,) = Onlooker(store, delivery, 0.0).jobs().values()
    for _ in range(10):
        follow(job, later_s=2 * PATIENCE_S)
        delivery.attend({job.plate: job.survey()})
    assert delivery.is_over
    follow(job, later_s=2 * PATIENCE_S)
    return Delivered(root, delivery)


@dataclass
class Damaged:
    """A copy of that plate, to be damaged."""

    job: PlateJob
    delivery: Delivery
    root: Path

    def judge(self, work: Work | None = None, hits: tuple[Hit, ...] = ()) -> Outcome:
        nothing = Work(Counter(), Counter(), Counter(), {}, {})
        jobs = {self.job.plate: self.job}
        return judge(jobs, self.delivery, work or nothing, hits, self.root.parent / "calm", time.time())

    def judge_files(self) -> list[str]:
        plan = self.job.survey()
        return judge_files(self.job, plan, read_publication(self.job, plan.records.last_publication))

    def measured(self) -> ImageFile:
        """An image that came once and was measured."""
        return next(
            site.files["DNA"] for site in self.job.survey().of("done") if "DNA" in site.files and not site.others
        )

    def one(self, beginning: str) -> str:
        """Key of one object of the plate's records or images that begins so."""
        return next(item.key for item in self.job.store.list("").objects if item.key.startswith(beginning))


@pytest.fixture
def plate(delivered: Delivered, tmp_path: Path) -> Damaged:
    shutil.copytree(delivered.root / "data", tmp_path / "data", copy_function=shutil.copy2)
    store = FolderStore(tmp_path / "data")
    (job,) = Onlooker(store, delivered.delivery, 0.0).jobs().values()
    # uploads are read where they lie, for a copy of them has times of its own
    kept = FolderStore(delivered.root / "data")
    job = PlateJob(store, kept, job.raw_folder, job.experiment, job.plate, store, job.maps_folder, 0.0)
    return Damaged(job, delivered.delivery, tmp_path)


def test_a_plate_that_came_with_all_accidents_is_well(plate: Damaged) -> None:
    assert plate.judge() == Outcome(0, 0, 0, (), ())


def test_lost_and_flipped_pixels_are_found(plate: Damaged) -> None:
    lost = plate.one(f"{plate.job.zarr}/A/1/s1x")
    flipped = plate.one(f"{plate.job.zarr}/B/1/s1x")
    plate.job.store.delete(lost)
    data = plate.job.store.read(flipped)
    plate.job.store.write(flipped, data[:-1] + bytes([data[-1] ^ 1]))
    first, second = judge_objects(plate.job, time.time())
    assert first.startswith(f"{lost} is gone")
    assert second.startswith(f"{flipped} has other content")


def test_a_record_that_is_there_before_its_data_is_seen_at_any_look(plate: Damaged) -> None:
    onlooker = Onlooker(plate.job.store, plate.delivery, 0.0)
    assert find_absent(plate.job) == []
    plate.job.store.delete(lost := plate.one(f"{plate.job.zarr}/A/1/s1x"))
    onlooker.look()
    (sentence,) = onlooker.seen
    assert sentence.startswith(f"W1: {plate.job.prefix}sites/A01-1-")
    assert sentence.endswith(f"was there before its data, such as {lost}")


def test_what_nothing_names_is_swept_and_what_the_sweep_leaves_is_found(
    plate: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = f"{plate.job.prefix}parts/A01-1-0123456789ab.arrow"
    pixels = f"{plate.job.zarr}/A/1/s1x0123456789ab/0/c/0/0/0"
    staged = f"{STAGING}/0123456789abcdef"
    for key in (stray, pixels, staged):
        plate.job.store.write(key, b"nobody's")
    assert find_strays(plate.job) == sorted((stray, pixels))
    with monkeypatch.context() as patch:
        patch.setattr("tests.chaos.objects.sweep", lambda job, now: None)
        assert len(judge_objects(plate.job, time.time())) == 3
    assert judge_objects(plate.job, time.time()) == []
    assert find_strays(plate.job) == find_staged(plate.job) == []


def test_objects_of_no_known_kind_are_found(plate: Damaged) -> None:
    of_results = [f"{plate.job.prefix}{name}" for name in ("caches/a.json", "pins.json.bak", "sites.txt")]
    strange = [f"{plate.job.zarr}/A/notes.txt", *of_results]
    for key in strange:
        plate.job.store.write(key, b"nobody's")
    left = [f"{key} is named by no record, and the sweep left it" for key in strange]
    assert judge_objects(plate.job, time.time()) == left


def test_a_sweep_that_takes_named_objects_is_found(plate: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    part = plate.one(f"{plate.job.prefix}parts/")
    monkeypatch.setattr("tests.chaos.objects.sweep", lambda job, now: job.store.delete(part))
    (sentence,) = judge_objects(plate.job, time.time())
    assert sentence.startswith(f"after the sweep {part} is gone")


def test_the_sweep_that_is_judged_comes_after_the_grace() -> None:
    assert LATER_S > 86_400


def test_a_plate_without_a_publication_is_found(plate: Damaged) -> None:
    for item in plate.job.store.list(f"{plate.job.prefix}publications/").objects:
        plate.job.store.delete(item.key)
    assert plate.judge().broken == ("W1 is not published",)


def test_an_upload_that_no_manifest_knows_is_found(plate: Damaged) -> None:
    name = "later/A01_s1_w1.tif"
    plate.job.raw.write(f"{plate.job.raw_folder}{name}", b"an image")
    try:
        assert plate.judge_files() == [f"{name} was uploaded and is in no state"]
    finally:
        plate.job.raw.delete(f"{plate.job.raw_folder}{name}")


def test_a_measured_image_that_nobody_uploaded_is_found(plate: Damaged) -> None:
    file = plate.measured()
    path = plate.job.raw.local_path(f"{plate.job.raw_folder}{file.name}")
    assert path is not None
    hidden = path.rename(plate.root / "hidden")
    try:
        assert plate.judge_files() == [f"{file.name} is measured and was never uploaded"]
    finally:
        hidden.rename(path)


def test_a_file_that_is_measured_and_at_fault_is_found(plate: Damaged) -> None:
    file = plate.measured()
    place = {"experiment": "wounds", "plate": "W1", "recipe": plate.job.recipe, "well": "A01", "site": 1}
    record_fault(plate.job.store, plate.job.prefix, place | {"channel": "DNA"}, file, "it is torn")
    assert plate.judge_files() == [f"{file.name} is measured and faulted"]


def test_an_image_in_another_state_than_it_came_in_is_found(plate: Damaged) -> None:
    (place,) = [place for _, place in plate.delivery.never]
    plate.delivery = Delivery(**{**vars(plate.delivery), "never": frozenset()})
    stranger = "raw/wounds/W1/A01_s1_w1 (copy).tif"
    plate.job.raw.write(stranger, b"passed over in silence?")
    try:
        broken = plate.judge().broken
    finally:
        plate.job.raw.delete(stranger)
    assert any(f"the image {place} is missing instead of arrived" in sentence for sentence in broken)
    assert not any("is in no state" in sentence for sentence in broken), "an unknown name is a state"


def test_a_site_that_was_done_anew_without_being_in_hand_of_what_was_hit_is_found(plate: Damaged) -> None:
    site = "wounds/W1 A02-2"
    begun = Counter({site: 3})
    work = Work(begun, Counter(), Counter(), {}, {})
    redone = 3 - len([name for name in plate.job.survey().records.manifests if name.startswith("A02-2-")])
    assert plate.judge(work).redone == redone > 0
    sentence = f"{site} was done anew {redone} times, and was 0 times in hand of a process that was hit"
    assert plate.judge(work).broken == (sentence,)
    others = Hit("scheduler", 1, 0.0, ("a", "b"), ("a", "b"))
    assert plate.judge(work, (others,) * redone).broken == (sentence,), "other sites' risk is not this one's"
    assert plate.judge(work, (Hit("worker", 1, 0.0, (site,), (site,)),) * redone).is_well


def test_a_failure_is_found_unless_it_is_of_killed_workers_or_of_a_storage_that_fails(plate: Damaged) -> None:
    (site, *_) = plate.job.survey().of("done")
    reasons = (
        "KeyError: 'GFP'",
        "OSError: [Errno 28] No space left on device",
        explain_failure(KILLED, is_second=False)[0],
    )
    for number, reason in enumerate(reasons):
        record_attempt(plate.job, replace(site, attempts=number), reason)
    assert plate.judge().broken == tuple(f"W1: A01 site 1 failed: {reason}" for reason in reasons[:2])
    assert judge_failures(plate.job, OF_THE_STORE) == ["A01 site 1 failed: KeyError: 'GFP'"]


def test_different_values_and_rows_are_found_and_the_run_is_left_out() -> None:
    def tables(**values: object) -> Any:
        from tests.chaos.tables import KEYS

        return {name: {} for name in KEYS} | {"sites": {("A01", 1, 1): {"well": "A01", "run": "x", **values}}}

    other = tables(nuclei_count=4, run="y")
    assert find_differences(tables(nuclei_count=4), other) == []
    assert find_differences(tables(nuclei_count=5), other) == [
        "sites ('A01', 1, 1): nuclei_count is 5 instead of 4",
    ]
    other["sites"]["B01", 1, 1] = {}
    assert find_differences(tables(nuclei_count=4), other) == ["sites has no row ('B01', 1, 1)"]
    assert find_differences(other, tables(nuclei_count=4)) == ["sites has a row ('B01', 1, 1) too many"]


LOG = """
2026-01-01 00:00:00,000 0 11: wounds/W1 A01 site 1: begun
2026-01-01 00:00:00,000 1 12: stains/S1 B02 site 2: begun
2026-01-01 00:00:01,000 0 11: wounds/W1 A01 site 1: done after 0.31 s
2026-01-01 00:00:02,000 0 11: wounds/W1 A01 site 1: begun
2026-01-01 00:00:02,000 0 11: wounds/W1 A01 site 1: found done
2026-01-01 00:00:02,000 0 11: wounds/W1 A02 site 1: begun apart
2026-01-01 00:00:02,000 - distributed.worker - ERROR - Compute Failed
Key:       site-wounds-W1-v1-06f11fcf-A02-1-0123456789abcdef0123-1
State:     executing
Exception: "StoreUnavailableError('the folder took no file')"
"""


def test_the_log_tells_what_was_begun_what_failed_and_who_has_what_in_hand(tmp_path: Path) -> None:
    log = tmp_path / "cluster.log"
    log.write_text(LOG)
    work = read_work(log_lines(log))
    assert work.running == {12: "stains/S1 B02-2"}
    assert work.begun == {"wounds/W1 A01-1": 2, "stains/S1 B02-2": 1, "wounds/W1 A02-1": 1}
    assert work.found == work.ended == {"wounds/W1 A01-1": 1}
    assert work.failed == {"StoreUnavailableError": {"wounds/W1 A02-1": 1}}
    needed = Counter({"wounds/W1 A01-1": 1})
    assert work.redone(needed, OF_THE_STORE) == {}
    del work.running[12]  # killed
    assert work.redone(needed, OF_THE_STORE) == {"stains/S1 B02-2": 1}, "which nothing records"
    assert work.redone(needed) == {"stains/S1 B02-2": 1, "wounds/W1 A02-1": 1}
