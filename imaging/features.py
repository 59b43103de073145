"""The feature columns of an experiment, in order, as the kernels describe them."""

from __future__ import annotations

from imaging.experiment import Experiment
from kernels.old_features import FeatureDescription, describe_features


def describe_columns(experiment: Experiment) -> list[FeatureDescription]:
    """Describe every feature column that the experiment's recipe gives; none when it finds no objects."""
    if experiment.recipe.nuclei is None:
        return []
    return describe_features(channel.name for channel in experiment.channels)
