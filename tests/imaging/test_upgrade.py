"""Plates of earlier software: under this one nothing of them is done or published again."""

from __future__ import annotations

from pathlib import Path

from imaging.arrivals import sort_arrivals
from imaging.experiment import read_experiment
from imaging.illumination import pinned_values
from imaging.job import PlateJob
from imaging.names import hash_of
from imaging.planning import Plan, plan_plate
from imaging.publication import plate_state
from imaging.records import Records
from imaging.store import StoredObject
from tests.imaging.small_plate import EXPERIMENT, make_job

PLAIN = EXPERIMENT.replace("plate_maps: [{file: map.csv, concentration_unit: uM}]\n", "")
"""What every plate has, and nothing of what came later; a plate with a map is published anew once."""
NAMES = ("A01_w1.tif", "A01_w2.tif", "A02_w1.tif", "old/A02_w1.tif", "A02_w2.tif", "B01_w1.tif", "notes.txt")


def look(folder: Path) -> tuple[PlateJob, Plan]:
    """A look at fixed versions of files: A01 is whole, A02 has a twin, one image of B01 is given up, B02 is missing."""
    job = make_job(folder, images={}, text=PLAIN)
    experiment = read_experiment(PLAIN.encode())
    objects = [StoredObject(name, 100, f"token of {name}", 1_770_000_000.0) for name in NAMES]
    arrivals = sort_arrivals(experiment, "", objects, ())
    given_up = {("B01", 1, "GFP"), ("B02", 1, "DNA"), ("B02", 1, "GFP")}
    pins = hash_of(pinned_values(job._fresh_pins(), None))
    return job, plan_plate(experiment, arrivals, Records(missing=frozenset(given_up)), pins=pins, now=1_770_000_100.0)


def test_recipes_sites_and_states_have_the_names_that_they_had(tmp_path: Path) -> None:
    """The software before formats, stacks, series, acquisitions and recipes side by side gave these names."""
    job, plan = look(tmp_path)
    assert job.recipe == "v1-4844783e"
    assert [site.name for site in plan.sites] == [
        "A01-1-6b7040b72f34c231d2dc",
        "A02-1-797acb99d1fb1f087908",
        "B01-1-e4c69710e2319e63754f",
        "B02-1-",
    ]
    assert plate_state(job, plan) == "1189105c0daa03b95f18"
