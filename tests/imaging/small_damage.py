"""A published plate that is measured in no time, what damages its objects, and a repair of it in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.damage import Damage
from imaging.errors import PlateError
from imaging.job import PlateJob
from imaging.measure_cells import NOT_MEASURED
from imaging.publication import Publication, is_current, read_publication
from imaging.records import publication_key
from imaging.repair import Mended, Repair
from imaging.site import SiteMeasurement, SiteTask, process_site
from imaging.store import Store
from imaging.verify import verify_plate
from imaging.zarr_check import check_plate
from tests.following import follow
from tests.imaging.small_plate import make_job, read_rows

SIDE = 24
TABLES = ("cells", "wells", "images", "sites", "plates", "faults", "decisions")


def measure_sums(planes: dict[str, np.ndarray], pins: dict[str, Any], field: Any = None) -> SiteMeasurement:
    """A measurement that differs whenever a pixel or its correction differs."""
    corrected = field.correct(planes) if field else planes
    sums = {f"Nuclei_Intensity_MeanIntensity_{name}": [float(plane.sum())] for name, plane in corrected.items()}
    cells = pa.table({"ObjectNumber": pa.array([1], pa.int32()), **sums})
    metrics = tuple({"channel": name, "MeanIntensity": float(plane.mean())} for name, plane in planes.items())
    stack = np.stack(list(planes.values()))
    labels = {name: np.ones(stack.shape[1:], np.int32) for name in ("Nuclei", "Cells")}
    return SiteMeasurement(metrics, {"Nuclei": 1, "Cells": 1}, cells, NOT_MEASURED[1], labels, stack, 1)


def follow_quickly(job: PlateJob, **given: Any) -> Publication | None:
    """Follow a plate as ``tests.following`` does, with ``measure_sums``."""
    return follow(job, measure=measure_sums, **given)


def publish_plate(folder: Path, **given: Any) -> PlateJob:
    """A small plate, published."""
    job = make_job(folder, **given)
    assert follow_quickly(job) is not None
    return job


def place(job: PlateJob) -> tuple[str, str, str]:
    """Experiment, plate and recipe."""
    return job.experiment.name, job.plate, job.recipe


def find_damage(job: PlateJob, *, is_quick: bool = False) -> list[Damage]:
    """What ``verify`` finds."""
    return verify_plate(job.store, place(job), is_quick=is_quick).damages


def redo_here(job: PlateJob, done: list[str] | None = None) -> Callable[[Sequence[SiteTask]], Mapping[str, str]]:
    """Process sites in this process, and note their wells."""

    def redo(tasks: Sequence[SiteTask]) -> dict[str, str]:
        failed = {}
        for task in tasks:
            if done is not None:
                done.append(task.plan.well)
            try:
                outcome = process_site(task, measure_sums, store=job.store, raw=job.raw, pins=job.ensure_pins())
            except PlateError as error:
                failed[task.plan.name] = str(error)
                continue
            if outcome.status != "done":
                failed[task.plan.name] = outcome.status
        return failed

    return redo


def repair(job: PlateJob, done: list[str] | None = None) -> list[Mended]:
    """What a repair does of all that ``verify`` finds."""
    fresh = job.under(job.experiment)  # as a process that begins
    return Repair(fresh, redo_here(fresh, done)).mend(find_damage(job))


def current_record(job: PlateJob) -> dict[str, Any]:
    """The record of the current publication."""
    return json.loads(job.store.read(publication_key(job.prefix, job.survey().records.last_publication)))


def manifest_of(job: PlateJob, well: str) -> dict[str, Any]:
    """The manifest of a well's site that the current publication names."""
    key = next(key for key in current_record(job)["manifests"] if f"/{well}-" in key)
    return {**json.loads(job.store.read(key)), "key": key}


def remove(store: Store, key: str) -> None:
    """An object is gone."""
    store.delete(key)


def truncate(store: Store, key: str) -> None:
    """An object ends in its middle."""
    data = store.read(key)
    store.write(key, data[: len(data) // 2])


def flip(store: Store, key: str) -> None:
    """One bit of an object is another; in a record it is one of a digit, so that it can still be read."""
    data = bytearray(store.read(key))
    spot = len(data) // 2
    if key.endswith(".json"):
        spot = next(index for index in range(spot, len(data)) if chr(data[index]).isdigit())
    data[spot] ^= 1
    store.write(key, bytes(data))


def copy_of(whole: Path, folder: Path) -> PlateJob:
    """A plate in a copy of its folder."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)  # times and all: they are what versions of images are told by
    return make_job(folder, images={})


def values(job: PlateJob) -> dict[str, Any]:
    """Rows of the current publication, but for the name of the run."""
    publication = read_publication(job, job.survey().records.last_publication)
    return {name: [{**row, "run": None} for row in read_rows(job, publication, name)] for name in TABLES}


def assert_whole(job: PlateJob) -> None:
    """Nothing is damaged, nothing is to do, and the OME-Zarr says the truth."""
    assert find_damage(job) == []
    fresh = job.under(job.experiment)
    plan = fresh.survey()
    assert plan.is_publishable
    assert is_current(fresh, plan)
    wells = ("A01", "A02", "B01", "B02")
    assert check_plate(job.store, job.zarr, [manifest_of(job, well) for well in wells]) == []
