"""What we wrote ourselves: records of plates, what watchdogs remember, the journal of uploads; damaged on its way."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from obstore.store import MemoryStore

from flows.watchdogs.alerts import Alert
from flows.watchdogs.memory import KEY, Memory, read_memory, write_memory
from flows.watchdogs.rounds import event_of
from flows.watchdogs.status import read_alerts
from imaging.acquisitions import find_acquisitions, list_decisions, read_decision
from imaging.costs import CostBook, DayCosts, count_costs, plate_costs, write_book
from imaging.history import look_up_history, plate_history
from imaging.job import PlateJob, open_job
from imaging.live import LivePlate
from imaging.names import to_json
from imaging.publication import publish, read_publication
from imaging.query import read_catalog, run_query
from imaging.reconciliation import reconcile
from imaging.records import ATTEMPTS
from imaging.retention import find_surplus
from imaging.steps import beat, decide_missing, is_followed, record_attempt
from imaging.store import Store, open_store
from imaging.sweep import find_unreferenced
from imaging.upload.journal import Journal
from imaging.verify import verify_experiment, verify_plate
from tests.fuzz.damage import damaged, damaged_text, damaged_tree
from tests.fuzz.promise import Target, answer, check_sentence
from tests.imaging import small_screen as screen

QUERY = "SELECT w.plate, COUNT(*) AS n FROM wells AS w LEFT JOIN images_live USING (plate) GROUP BY 1"


@lru_cache
def screen_with_records() -> dict[str, bytes]:
    """A store with a record of every kind, by address: two published plates, one of them in the middle of more."""
    store = open_store("memory://fuzz-records")
    store.write("experiments/screen/experiment.yaml", screen.YAML)
    for plate in ("P1", "P2"):
        screen.publish(store, plate=plate)
        for item in screen.manifests(plate):
            screen.write_manifest(store, item)
    recipe = open_job(store, "screen", "P1").recipe
    found = {item.key: store.read(item.key) for item in store.list("").objects}
    renamed = {
        key.replace(screen.RECIPE, recipe): data.replace(screen.RECIPE.encode(), recipe.encode())
        if key.endswith(".json")
        else data
        for key, data in found.items()
    }
    images = [f"raw/screen/P1/{well}_s1_{channel}.tif" for well in screen.WELLS for channel in screen.CHANNELS]
    store = fresh(dict.fromkeys(images, b"no pixels") | renamed)
    job = open_job(store, "screen", "P1", settle_s=0.0)
    _add_records(job, store)
    return {item.key: store.read(item.key) for item in store.list("").objects}


def _add_records(job: PlateJob, store: Store) -> None:
    job.ensure_pins()
    plan = job.survey()
    first, *others = plan.todo
    for _ in range(ATTEMPTS):
        record_attempt(job, first, "the worker ended")
        job = open_job(store, "screen", "P1", settle_s=0.0)
        first = next(site for site in job.survey().sites if (site.well, site.site) == (first.well, first.site))
    for site in others:
        finished = screen.manifest(site.well, site.site, inputs=site.name.rpartition("-")[2], recipe=job.recipe)
        store.create(f"{job.prefix}sites/{site.name}.json", to_json(finished))
    for site in plan.sites:
        for channel in site.awaited:
            decide_missing(job, site.well, site.site, channel, reason="the disk was full")
    beat(job, "a run")
    write_book(job, count_costs(store, job.prefix, job.survey().records, CostBook()), CostBook())
    screen.promote(store, job.recipe)
    decided = {"experiment": "screen", "barcode": "P1", "number": 1, "plate": "P1", "rule": "first", "by_hand": None}
    known = [{"plate": plate, "status": "complete", "first_image_at": 1770091500.25} for plate in ("P1", "P2")]
    words = {"reason": "the first", "decided_by": "rule", "decided_at": "2026-02-03T05:00:00.000+00:00"}
    store.create("results/screen/_acquisitions/P1/000001.json", to_json(decided | words | {"acquisitions": known}))


def fresh(objects: dict[str, bytes]) -> Store:
    """A store of its own with these objects; images come first, for their tokens count what was written."""
    store = Store("memory://fuzz-stored", MemoryStore())
    for key in sorted(objects, key=lambda key: (not key.startswith("raw/"), key)):
        store.write(key, objects[key])
    return store


@st.composite
def damaged_records(draw: st.DrawFn) -> tuple[str, bytes]:
    """Address of a record, and what stands there instead."""
    objects = screen_with_records()
    kinds: dict[str, list[str]] = {}
    for key in sorted(objects):
        if key.endswith(".json"):
            kinds.setdefault("/".join(key.split("/")[:2] + key.split("/")[-2:-1]), []).append(key)
    key = draw(st.sampled_from(draw(st.sampled_from(sorted(kinds.values())))[:3]))
    trees = damaged_tree(json.loads(objects[key])).map(lambda tree: json.dumps(tree).encode())
    return key, draw(st.one_of(trees, trees, damaged_text(objects[key].decode())))


def try_record(case: tuple[str, bytes]) -> None:
    """Everything that reads records, one after the other, beside one that is damaged."""
    key, data = case
    objects = screen_with_records() | {key: data}
    for act in ACTS:
        answer(act, fresh(objects))


def _job(store: Store, plate: str = "P1") -> PlateJob:
    return open_job(store, "screen", plate, settle_s=0.0)


def _live(store: Store) -> None:
    job = _job(store)
    plate = LivePlate(store, ("screen", "P1", job.recipe))
    if plate.look({}):
        plate.judge(job.experiment)


ACTS: tuple[Callable[[Store], Any], ...] = (
    lambda store: _job(store).survey(),
    lambda store: reconcile(_job(store)),
    lambda store: plate_costs(_job(store), _job(store).survey()),
    lambda store: DayCosts(store).of("2026-02-03"),
    lambda store: look_up_history(_job(store, "P3")),
    lambda store: plate_history(_job(store), [1]),
    lambda store: read_publication(_job(store), 1),
    lambda store: publish(_job(store)),
    lambda store: find_unreferenced(_job(store), grace_s=0.0),
    lambda store: find_surplus(_job(store), _job(store).survey(), keep=1, now=time.time(), grace_s=0.0),
    lambda store: is_followed(_job(store).survey(), stale_s=90.0),
    lambda store: verify_experiment(store, "screen"),
    lambda store: [verify_plate(store, ("screen", plate, _job(store, plate).recipe)) for plate in ("P1", "P2")],
    lambda store: find_acquisitions(store, _job(store).experiment, "P1"),
    lambda store: [read_decision(store, "screen", "P1", n) for n in list_decisions(store, "screen").get("P1", ())],
    _live,
)


def try_query(case: tuple[str, bytes]) -> None:
    """Questions in SQL to a store in which a record is damaged."""
    key, data = case
    store = fresh(screen_with_records() | {key: data})
    answer(read_catalog, store)
    answer(run_query, store, QUERY)


@lru_cache
def remembered() -> Any:
    """What watchdogs remember of a plate that is stuck, of a cluster that explains it, and of what they only saw."""
    memory, now = Memory(), 1_770_091_500.25
    store = fresh({})
    cause = Alert("cluster-silent", "tcp://127.0.0.1:8786", now, "no scheduler answers", "start one", level="1")
    stuck = Alert("plate-stuck", "screen/P1/v1-0", now, "nothing is done", "look at its log", "screen", "P1", "v1-0")
    memory.begin(now, every_s=60.0, tick=0.0)
    for what in (True, 3, ("P1", (1, 2)), {"disk": 0.5}):
        memory.since(f"what is {what}", what)
    memory.end([cause, replace(stuck, covered_by=cause.name)])
    for message in memory.messages():
        memory.note_logged(message)
        memory.note_told(message)
    write_memory(store, memory)
    return json.loads(store.read(KEY))


@st.composite
def damaged_memories(draw: st.DrawFn) -> bytes:
    """The same, as a hand or another version may have left it."""
    trees = damaged_tree(remembered()).map(lambda tree: json.dumps(tree).encode())
    return draw(trees | trees | damaged_text(json.dumps(remembered())))


def try_memory(data: bytes) -> None:
    """What was remembered, or nothing; a look goes on with it, is shown, and is remembered in its turn."""
    store = fresh({KEY: data})
    json.dumps(read_alerts(store, every_s=60.0).rows(), allow_nan=False)
    memory = read_memory(store) or Memory()
    now = memory.checked_at + 60.0
    memory.begin(now, every_s=60.0, tick=0.0)
    memory.since("what is 3", 3)
    memory.end(each.alert for each in [*memory.standing.values()][:1])
    for message in memory.messages():
        check_sentence(message.sentence)
        to_json(event_of(message).as_prefect())
        memory.note_logged(message)
        memory.note_told(message)
    memory.forget_untold()
    write_memory(store, memory)
    kept = read_memory(store)
    assert kept is not None
    assert (kept.checked_at, kept.standing.keys()) == (memory.checked_at, memory.standing.keys())


JOURNAL = "".join(
    json.dumps([f"a/{number}.tif", 9, 1_700_000_000_000_000_000, "9e107d9d", "yZRlqg==", f"t{number}"]) + "\n"
    for number in range(3)
)


def try_journal(data: bytes) -> None:
    """A journal of uploads that a kill or a full disk damaged: what it says of files is of the right kind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Journal(Path(folder), Path(folder), "there").path
        assert path is not None
        path.write_bytes(data)
        with Journal(Path(folder), Path(folder), "there") as journal:
            for number in range(3):
                noted = journal.get(f"a/{number}.tif", 9, 1_700_000_000_000_000_000)
                assert noted is None or (noted.sums.size, noted.mtime_ns) == (9, 1_700_000_000_000_000_000)


TARGETS = (
    Target("records", damaged_records(), try_record, 8),
    Target("records under SQL", damaged_records(), try_query, 2),
    Target("memory of alerts", damaged_memories(), try_memory, 60),
    Target("journal of uploads", damaged(JOURNAL.encode()) | damaged_text(JOURNAL), try_journal, 30),
)
