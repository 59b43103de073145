"""Which rules hold: declared ones, and the defaults of what a declaration says nothing about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imaging.experiment import Experiment, read_experiment
from imaging.rules import DEFAULT_LIMITS, Limit, Outlier, Rules, collect_rules, default_outliers
from kernels.image_quality import measure_image_quality
from tests.imaging.small_screen import YAML
from tests.parts import require


def outlier(metric: str = "FocusScore", **more: Any) -> Outlier:
    return Outlier.model_validate({"metric": metric, "warn_z": 4, **more})


def declared(analysis: str, *, role: str = "nucleus") -> Experiment:
    head = YAML.decode().split("analysis:")[0].replace("role: nucleus", f"role: {role}, color: ff0000")
    return read_experiment(f"{head if role == 'nucleus' else head.split('recipe')[0]}analysis: {analysis}\n".encode())


def test_without_any_rule_blurred_nuclei_and_blurred_plates_are_looked_for():
    rules = declared("{statistics: []}").rules
    found = [(rule.metric, rule.channel, rule.against, rule.side) for rule in rules.outliers]
    assert found == [("PowerLogLogSlope", "DNA", "plate", "low"), ("PowerLogLogSlope", "DNA", "history", "low")]
    assert rules.limits_for("RNA") == list(DEFAULT_LIMITS)


def test_an_empty_image_warns_in_the_channel_of_the_nuclei_alone():
    rules = declared("{statistics: []}").rules
    empty = {
        name: [limit for limit in rules.limits_for(name) if limit.metric == "EmptyImage"] for name in ("DNA", "RNA")
    }
    assert [(limit.warn_above, limit.fail_above) for limit in empty["DNA"]] == [(0, None)]
    assert empty["RNA"] == []


def test_without_a_nucleus_channel_there_is_no_default_outlier():
    assert declared("{statistics: []}", role="other").rules.outliers == ()


def test_a_declared_outlier_takes_the_place_of_the_default_of_its_metric_and_reference():
    own = outlier("PowerLogLogSlope", warn_z=7)
    assert collect_rules((), (own,), nucleus="DNA").outliers == (own, default_outliers("DNA")[1])
    of_dna = outlier("PowerLogLogSlope", channel="DNA", against="history")
    assert collect_rules((), (of_dna,), nucleus="DNA").outliers == (of_dna, default_outliers("DNA")[0])


def test_an_outlier_of_another_channel_or_metric_leaves_the_defaults():
    others = (outlier("PowerLogLogSlope", channel="RNA"), outlier("FocusScore"))
    assert collect_rules((), others, nucleus="DNA").outliers == (*others, *default_outliers("DNA"))


def test_declared_limits_take_the_place_of_the_default_of_their_metric_and_channel():
    limit = Limit(metric="PercentSaturated", channel="DNA", warn_above=3)
    rules = Rules((limit,))
    assert [item.warn_above for item in rules.limits_for("DNA") if item.metric == "PercentSaturated"] == [3]
    assert rules.limits_for("RNA") == list(DEFAULT_LIMITS)


def test_outliers_hold_for_their_channel_and_counts_for_sites():
    of_all, of_rna, of_sites = outlier(), outlier(channel="RNA"), outlier("nuclei_count")
    rules = Rules((), (of_all, of_rna, of_sites, outlier(against="history")))
    assert rules.outliers_for("DNA", "plate") == [of_all]
    assert rules.outliers_for("RNA", "plate") == [of_all, of_rna]
    assert rules.outliers_for(None, "plate") == [of_sites]
    assert rules.outliers_for(None, "history") == []


def test_all_that_verdicts_depend_on_is_part_of_a_publication(monkeypatch):
    part = declared("{statistics: []}").analysis_part()
    assert [rule["against"] for rule in part["outliers"]] == ["plate", "history"]
    assert declared("{outliers: [{metric: FocusScore, warn_z: 3}]}").analysis_part() != part
    monkeypatch.setattr("imaging.rules.DEFAULT_LIMITS", ())
    assert declared("{statistics: []}").analysis_part() != part


def test_the_default_difference_is_smaller_than_between_sharp_and_far_defocused_planes():
    folder = Path(require("shared")) / "data" / "focus_bbbc006"
    slopes = {
        name: [slope_of(path) for path in sorted((folder / name).iterdir())] for name in ("in_focus", "out_of_focus")
    }
    difference = min(slopes["in_focus"]) - max(slopes["out_of_focus"])
    assert difference > default_outliers("DNA")[0].min_difference


def slope_of(path: Path) -> float:
    plane = np.asarray(Image.open(path)).astype(np.uint16)
    return float(measure_image_quality(plane[np.newaxis], full_scale=4095)["PowerLogLogSlope"][0])
