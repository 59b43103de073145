"""What must be so after any chaos, and what is not.

values      every table of each plate's current publication equals that of a calm run in this process, by key
images      each expected image is in the one state that the delivery put it in, and each uploaded file is accounted
            for once: measured, passed over as another's duplicate, at fault, or the instrument's manifest
objects     every object is named by a record or swept after the grace; every named one is there, whole
work        no site was worked at anew more often than it was in hand of processes that were hit, and none failed but
            for a storage that does, or because its workers were killed
processes   none is left once the stack was told to stop
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.job import PlateJob, plate_job
from imaging.planning import Plan
from imaging.publication import Publication, read_manifests, read_publication
from imaging.store import Store, open_store
from tests.chaos.delivery import Delivery
from tests.chaos.objects import judge_objects
from tests.chaos.plates import PATIENCE_S
from tests.chaos.processes import Hit, find_marked
from tests.chaos.tables import find_differences, read_tables
from tests.chaos.worker_log import Work
from tests.following import follow

ENDED_WORKERS = "it ended its worker three times"
"""How the reason begins of a failure that is recorded when a site's workers were killed."""
OF_THE_STORE = ("StoreUnavailableError", "OSError")
"""Errors of a task that are forgiven where the storage is at fault."""


@dataclass(frozen=True)
class Outcome:
    """How the plates came out of a run: sites worked at anew, what may have cost them, and all that is broken."""

    redone: int
    at_risk: int
    in_flight: int
    differences: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether everything is as it must be."""
        return not self.differences and not self.broken


def judge(
    jobs: dict[str, PlateJob],
    delivery: Delivery,
    work: Work,
    hits: Sequence[Hit],
    calm: Path,
    now: float,
    *,
    is_store_at_fault: bool = False,
) -> Outcome:
    """Hold plates that are published and that nobody works at any longer against the invariants.

    Parameters
    ----------
    jobs, delivery
        The plates, and what came of them.
    work, hits
        What the workers' log says, and what was done to processes.
    calm
        A new folder for the results of the calm run.
    now
        Time of day in Unix seconds.
    is_store_at_fault
        Whether the storage was made to fail.
    """
    differences, broken, needed = [], [], Counter[str]()
    forgiven = OF_THE_STORE if is_store_at_fault else ()
    for plate in delivery.plates:
        job = jobs[plate.name]
        plan = job.survey(now)
        needed += count_manifests(job, plan)
        broken += [f"{plate.name}: {sentence}" for sentence in judge_failures(job, forgiven)]
        if not plan.records.last_publication:
            broken.append(f"{plate.name} is not published")
            continue
        publication = read_publication(job, plan.records.last_publication)
        expected = run_calmly(job, open_store(str(calm)))
        found = read_tables(job, publication)
        differences += [f"{plate.name}: {difference}" for difference in find_differences(found, expected)]
        states = {(row["well"], row["site"], row["channel"]): row["state"] for row in found["images"].values()}
        if states != delivery.expected(plate):
            broken.append(f"{plate.name}: {_contrast(states, delivery.expected(plate))}")
        broken += [f"{plate.name}: {sentence}" for sentence in judge_files(job, plan, publication)]
        broken += [f"{plate.name}: {sentence}" for sentence in judge_objects(job, now)]
    redone = work.redone(needed, forgiven)
    at_risk = Counter(site for hit in hits for site in hit.at_risk)
    broken += [
        f"{site} was done anew {count} times, and was {at_risk[site]} times in hand of a process that was hit"
        for site, count in redone.items()
        if count > at_risk[site]
    ]
    in_flight = sum(len(hit.in_flight) for hit in hits)
    return Outcome(redone.total(), at_risk.total(), in_flight, tuple(differences), tuple(broken))


def run_calmly(job: PlateJob, store: Store) -> dict[str, dict[tuple[object, ...], dict[str, object]]]:
    """Process the same uploads in this process, once all are there, into another store; rows of its tables by key."""
    own = plate_job(store, job.experiment, job.plate)
    calm = PlateJob(store, job.raw, job.raw_folder, own.experiment, own.plate, job.maps, job.maps_folder, 0.0)
    publication = follow(calm, later_s=10 * PATIENCE_S)
    if publication is None:
        raise RuntimeError(f"the calm run of {job.plate} came to no end")
    return read_tables(calm, publication)  # pyright: ignore[reportReturnType]


def count_manifests(job: PlateJob, plan: Plan) -> Counter[str]:
    """How often each site of a plate had to be worked at: once for each of its manifests."""
    places = (name.split("-", 2) for name in plan.records.manifests)
    return Counter(f"{job.experiment.name}/{job.plate} {well}-{site}" for well, site, _ in places)


def judge_failures(job: PlateJob, forgiven: Sequence[str]) -> list[str]:
    """Say which sites are recorded to have failed by another error than one that is forgiven."""
    records = [json.loads(job.store.read(item.key)) for item in job.store.list(f"{job.prefix}attempts/").objects]
    return [
        f"{record['well']} site {record['site']} failed: {record['reason']}"
        for record in records
        if not record["reason"].startswith((ENDED_WORKERS, *(f"{error}:" for error in forgiven)))
    ]


def judge_processes(folder: Path) -> list[str]:
    """Say which processes of a run are left."""
    left = find_marked(folder)
    return [f"processes {left} were left behind"] if left else []


def judge_files(job: PlateJob, plan: Plan, publication: Publication) -> list[str]:
    """Say which uploaded files are in no state, or in several."""
    names = [key.rsplit("/", 1)[-1].removesuffix(".json") for key in publication.manifests]
    states: dict[str, list[str]] = {}
    for manifest in read_manifests(job.store, job.prefix, names):
        for image in manifest["images"]:
            states.setdefault(image["name"], []).append("measured")
        for other in manifest["duplicates"]:
            states.setdefault(other["name"], []).append("duplicate")
    for *_, file in plan.faulted:
        states.setdefault(file.name, []).append("faulted")
    for unknown in plan.unknown:
        states.setdefault(unknown.name, []).append("unknown")
    uploaded = {item.key.removeprefix(job.raw_folder) for item in job.raw.list(job.raw_folder).objects}
    uploaded = {name for name in uploaded if not name.endswith(".HTD")}
    wrong = [f"{name} was uploaded and is in no state" for name in sorted(uploaded - states.keys())]
    wrong += [f"{name} is {states[name][0]} and was never uploaded" for name in sorted(states.keys() - uploaded)]
    return wrong + [f"{name} is {' and '.join(found)}" for name, found in states.items() if len(found) > 1]


def _contrast(found: dict[tuple[str, int, str], str], expected: dict[tuple[str, int, str], str]) -> str:
    places = sorted(found.keys() | expected.keys())
    wrong = [place for place in places if found.get(place) != expected.get(place)]
    first = wrong[0]
    return (
        f"{len(wrong)} images are in another state than they came in; the image {first} is "
        f"{found.get(first, 'not there')} instead of {expected.get(first, 'not there')}"
    )
