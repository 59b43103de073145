from __future__ import annotations

import pytest

from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import AnalysisRecipe
from tests.imaging.analyses.made_profiles import make_profiles
from tests.known_answers import bbbc021, held_back
from tests.known_answers.__main__ import main


@pytest.fixture(scope="module")
def bbbc021_weeks() -> Profiles:
    return bbbc021.read_bbbc021()


def test_bbbc021_has_its_wells_and_treatments(bbbc021_weeks: Profiles) -> None:
    assert len(bbbc021_weeks) == 342
    assert bbbc021_weeks.is_control("negcon").sum() == 144
    assert bbbc021_weeks.wells["plate"].nunique() == 24
    treated = bbbc021_weeks.wells.loc[bbbc021_weeks.is_control("trt")]
    assert treated.groupby(["treatment", "concentration"]).ngroups == 66
    assert (treated["mechanism"] != "").all()


@pytest.mark.parametrize(
    ("method", "least"),
    [
        ("z to DMSO, per plate", 0.74),
        ("MAD to DMSO, per plate, clipped at 15", 0.74),
        ("inverse normal, per plate", 0.74),
        ("z, sphering", 0.74),
        ("z, TVN", 0.74),
    ],
)
def test_mechanisms_of_bbbc021_are_found(bbbc021_weeks: Profiles, method: str, least: float) -> None:
    recipe = AnalysisRecipe.model_validate({"select": {"operations": "none"}} | bbbc021.METHODS[method])
    by_treatment, by_batch, features, treatments = bbbc021.accuracies(bbbc021_weeks, recipe)
    assert (features, treatments) == (516, 66)
    assert by_treatment >= least
    assert by_batch >= 0.4


def test_corrections_find_more_across_batches_than_z_scores(bbbc021_weeks: Profiles) -> None:
    across = {
        method: bbbc021.accuracies(bbbc021_weeks, AnalysisRecipe.model_validate(bbbc021.METHODS[method]))[1]
        for method in ("none", "z to DMSO, per plate", "z, sphering", "z, TVN")
    }
    assert across["none"] < across["z to DMSO, per plate"] < min(across["z, sphering"], across["z, TVN"])


def test_the_table_has_a_row_for_each_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["bbbc021"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 + len(bbbc021.METHODS)
    assert lines[3].startswith("| method | published, 55 plates, NSC | NSC, all | NSCB, all |")


def test_noise_looks_active_against_controls_that_sphering_was_fitted_on_and_not_against_those_held_back() -> None:
    made = make_profiles(treatments=60, features=300, rank=20, controls=16, plates=6)
    rates = held_back.noise_rates(made)
    assert rates["the half that was held back"] < 0.15
    assert rates["all controls, each plate sphered by the others"] > 0.15
    assert rates["the controls that sphering was fitted on"] > 0.4


def test_an_unknown_answer_is_refused() -> None:
    with pytest.raises(SystemExit, match="no known answers of 'bbbc999'; there are bbbc021, "):
        main(["bbbc999"])
