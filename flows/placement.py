"""An experiment's placement against the places of the settings: that of a run, and that of the warehouse."""

from __future__ import annotations

from flows.settings import PREFIX, Settings
from imaging.experiment import Experiment
from imaging.placement import find_refusal, refuse_elsewhere

RUN = "this environment"
CURE = (
    f"run it there, set {PREFIX}PLACE if that is where this machine stands, or change placement in its experiment.yaml"
)


def refuse_run(experiment: Experiment, settings: Settings, plate: str = "") -> None:
    """Refuse to process a plate where its images must not be; called before anything is read or started.

    Raises
    ------
    PlacementError
        With the rule's text.
    """
    rule = experiment.placement
    refuse_elsewhere(rule, settings.place, what=RUN, cure=CURE, experiment=experiment.name, plate=plate)


def find_run_refusal(experiment: Experiment, settings: Settings) -> str:
    """Say why no run is to be woken here; empty where the plates may be processed."""
    refusal = find_refusal(experiment.placement, settings.place, what=RUN)
    return f"{refusal}; {CURE}" if refusal else ""


def refuse_dataset(experiment: Experiment, settings: Settings, plate: str = "") -> None:
    """Refuse to load results into a dataset where they must not be; without a location BigQuery would choose one.

    Raises
    ------
    PlacementError
        With the rule's text.
    """
    refuse_elsewhere(
        experiment.placement,
        settings.dataset_location,
        what=f"the dataset {settings.dataset}" if settings.dataset else "the dataset",
        cure=f"load it into one that is ({PREFIX}DATASET, {PREFIX}DATASET_LOCATION), or change placement in its "
        "experiment.yaml",
        experiment=experiment.name,
        plate=plate,
    )
