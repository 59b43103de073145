"""Where images may be processed: places and what they belong to, the rule in words, and workers that refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import ConfigurationError, PlacementError
from imaging.experiment import read_experiment
from imaging.measure import measure_planes
from imaging.placement import Placement, find_refusal, groups_of, refuse_elsewhere
from imaging.provenance import Whereabouts
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from tests.imaging.small_plate import EXPERIMENT, make_job

RULE = "placement: {allowed: [EU, on-premises], reason: 'patient material, contract 12'}\n"


def rule(*allowed: str, reason: str = "") -> Placement:
    return Placement.model_validate({"allowed": list(allowed), "reason": reason})


@pytest.mark.parametrize(
    ("place", "groups"),
    [
        ("europe-west4", {"europe-west4", "europe", "eu"}),
        ("EUROPE-WEST4", {"europe-west4", "europe", "eu"}),
        ("europe-west4-b", {"europe-west4-b", "europe-west4", "europe", "eu"}),
        ("europe-west2", {"europe-west2", "europe"}),  # London
        ("europe-west6", {"europe-west6", "europe"}),  # Zurich
        ("europe-west12", {"europe-west12", "europe", "eu"}),
        ("EU", {"eu", "europe"}),
        ("eu-west-2", {"eu-west-2", "eu-west"}),  # another cloud's London
        ("US", {"us"}),
        ("us-central1", {"us-central1", "us"}),
        ("on-premises-basel", {"on-premises-basel", "on-premises", "on"}),
        ("local", {"local"}),
    ],
)
def test_a_place_goes_by_its_name_and_by_those_of_what_it_lies_in(place: str, groups: set[str]) -> None:
    assert groups_of(place) == groups


def test_without_a_rule_images_may_go_anywhere() -> None:
    assert find_refusal(None, "us-central1", what="this worker") == ""
    assert find_refusal(None, "", what="this worker") == ""


def test_a_refusal_says_the_rule_and_what_stands_where() -> None:
    refusal = find_refusal(rule("eu", "ch", "on-premises", reason="contract 12"), "us-central1", what="this worker")
    assert refusal == (
        "the experiment may be processed in eu, ch or on-premises only (contract 12), and this worker is in us-central1"
    )
    assert find_refusal(rule("eu"), "europe-west4", what="this worker") == ""
    assert find_refusal(rule("europe-west4"), "eu", what="the dataset").endswith(
        "may be processed in europe-west4 only, and the dataset is in eu"
    )


def test_a_place_that_nobody_named_is_refused_by_any_rule() -> None:
    assert find_refusal(rule("us"), "", what="the dataset").endswith("the dataset has no place that we know of")


def test_the_error_names_the_plate_and_the_cure() -> None:
    refuse_elsewhere(rule("eu"), "eu", what="it", cure="move it", experiment="screen")
    with pytest.raises(PlacementError) as caught:
        refuse_elsewhere(rule("eu"), "us", what="it", cure="move it", experiment="screen", plate="P1")
    assert str(caught.value).endswith("and it is in us; move it (experiment screen, plate P1)")


def test_a_rule_is_read_and_a_single_place_needs_no_list() -> None:
    declared = read_experiment((EXPERIMENT + RULE).encode()).placement
    assert declared == rule("eu", "on-premises", reason="patient material, contract 12")
    single = read_experiment(f"{EXPERIMENT}placement: {{allowed: eu}}\n".encode()).placement
    assert single == rule("eu")
    assert read_experiment(EXPERIMENT.encode()).placement is None


def test_a_rule_changes_no_value() -> None:
    free, bound = read_experiment(EXPERIMENT.encode()), read_experiment((EXPERIMENT + RULE).encode())
    assert bound.recipe_id == free.recipe_id
    assert bound.analysis_part() == free.analysis_part()


LINE = EXPERIMENT.count("\n") + 1
FAULTS = [
    ("{allowed: []}", "placement.allowed: must name at least one place; leave placement out to allow them all"),
    ("{reason: secret}", "placement.allowed: is missing: places in which the images may be processed"),
    ("{allowed: [eu], places: [us]}", "placement.places: is not known; known here: allowed, reason"),
    ("{alowed: [eu]}", "placement.alowed: is not known; did you mean 'allowed'?"),
    ("{allowed: [eu, the cellar]}", "placement.allowed[1]: must be a place such as eu, europe-west4 or on-premises"),
    ("{allowed: [eu, us, EU]}", "placement.allowed: names 'eu' twice; once is enough"),
    ("eu", "placement: must be a mapping (name: value), got 'eu'"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[text for text, _ in FAULTS])
def test_a_faulty_rule_is_told_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_experiment(f"{EXPERIMENT}placement: {text}\n".encode())
    assert any(problem.startswith(fault) and f"(line {LINE})" in problem for problem in caught.value.problems)


def refused(job: Any, place: str, **changes: Any) -> PlacementError:
    task = replace(site_task(job, plan_work(job).todo[0]), **changes)
    with pytest.raises(PlacementError) as caught:
        process_site(task, measure_planes, at=Whereabouts(place=place))
    return caught.value


def test_a_worker_elsewhere_refuses_a_site_before_it_reads_anything(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + RULE)
    error = refused(job, "us-central1", raw_url=f"file://{tmp_path}/nowhere")
    assert "in eu or on-premises only (patient material, contract 12), and this worker is in us-central1" in str(error)
    assert error.retryable
    assert job.survey().of("todo")
    assert not job.store.list(f"{job.prefix}parts/").objects


def test_a_worker_where_it_may_be_does_the_site(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + RULE)
    task = site_task(job, plan_work(job).todo[0])
    assert process_site(task, measure_planes, at=Whereabouts(place="europe-west4")).status == "done"
