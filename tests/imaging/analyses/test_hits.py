"""Hits: criteria of the recipe, decisions, reasons; and nothing from nothing."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from imaging.analyses.control_checks import pretend_treatments
from imaging.analyses.hits import find_hits
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import AnalysisRecipe, HitCriteria
from imaging.analyses.treatments import false_discovery_rates, list_treatments
from imaging.errors import ConfigurationError
from tests.known_answers.noise import Screen, draw, judge, normalized


def recipe(**hits):
    return AnalysisRecipe(hits=HitCriteria(permutations=500, **hits))


def found_in(screen, seed=0, **hits):
    raw = draw(screen, seed)
    return find_hits(normalized(raw), recipe(**hits), raw=raw)


ACTIVE = Screen(treatments=15, active=3, effect=4)


def test_treatments_that_do_something_are_hits_and_the_criteria_they_meet_are_named():
    hits = found_in(ACTIVE).hits
    assert hits["treatment"].tolist() == [f"t{i:03d}" for i in range(15)]
    assert hits["is_hit"].tolist() == [True] * 3 + [False] * 12
    assert hits["criteria_met"].tolist() == ["activity, distance"] * 3 + [""] * 12
    assert (hits["reason"] == "").all()
    assert hits["n_replicates"].tolist() == hits["n_plates"].tolist() == [4] * 15


def test_any_criterion_has_its_share_of_the_rate_and_all_have_it_whole():
    either, both = found_in(ACTIVE).hits, found_in(ACTIVE, needed="all").hits
    one_family = np.zeros(15, bool)
    rates = false_discovery_rates(either["activity_p"].to_numpy(float), one_family)
    assert either["activity_q"].tolist() == pytest.approx(np.minimum(2 * rates, 1).tolist())
    assert both["activity_q"].tolist() == pytest.approx(
        false_discovery_rates(both["activity_p"].to_numpy(float), one_family).tolist()
    )
    assert both["is_hit"].tolist() == [True] * 3 + [False] * 12


def test_positive_controls_let_no_more_treatments_pass():
    """Each would raise the limit of all others, though nobody asks whether it does something."""
    criteria = {"criteria": ("activity", "distance", "replication", "effect", "viability"), "features": ("f0", "f1")}
    raw = draw(Screen(treatments=15, active=3, effect=4), 0)
    declared = raw.wells["control"].mask(raw.wells["treatment"].isin(["t000", "t001"]), "poscon")
    controlled = Profiles(raw.values, raw.features, raw.wells.assign(control=declared))
    found = find_hits(normalized(controlled), recipe(**criteria), raw=controlled).hits
    assert found["is_hit"].tolist() == [True] * 3 + [False] * 12
    for criterion in ("activity", "distance", "replication"):
        p = found[f"{criterion}_p"].to_numpy(float)
        apart = np.concatenate([false_discovery_control(part, method="bh") for part in np.split(p, [2])])
        assert found[f"{criterion}_q"].tolist() == pytest.approx(np.minimum(5 * apart, 1).tolist())


def test_all_criteria_must_be_met_where_all_are_needed():
    hits = found_in(ACTIVE, criteria=("activity", "viability"), needed="all").hits
    assert hits["activity_met"].tolist()[:3] == [True] * 3
    assert not hits["viability_met"].any()
    assert not hits["is_hit"].any()


def test_a_large_effect_must_be_large_and_told_from_chance():
    raw = draw(Screen(treatments=15, plate=0), 0)
    raw.values[(raw.wells["treatment"] == "t004").to_numpy(), 2] += 15
    for limit, is_met in ((3.0, True), (300.0, False)):
        hits = find_hits(raw, recipe(criteria=("effect",), features=("f1", "f2"), effect=limit), raw=raw).hits
        (row,) = hits[hits["treatment"] == "t004"].to_dict("records")
        assert row["effect_feature"] == "f2"
        assert row["is_hit"] == is_met
        assert hits["is_hit"].sum() == is_met


def test_a_treatment_that_kills_is_a_hit_of_viability():
    raw = draw(Screen(treatments=15), 0)
    counts = raw.wells["cells_count"].to_numpy(float, copy=True)
    counts[raw.wells["treatment"] == "t002"] = 10
    raw.wells["cells_count"] = counts
    hits = find_hits(raw, recipe(criteria=("viability",)), raw=raw).hits
    assert hits.loc[hits["is_hit"], "treatment"].tolist() == ["t002"]
    lenient = find_hits(raw, recipe(criteria=("viability",), viability=-1_000), raw=raw).hits
    assert not lenient["is_hit"].any()


def test_a_dose_response_holds_for_all_concentrations_of_a_treatment():
    raw = draw(Screen(treatments=16, replicates=3, plate=0), 0)
    wells, is_treated = raw.wells, (raw.wells["control"] == "trt").to_numpy()
    number = wells["treatment"].str[1:].where(is_treated, "0").astype(int).to_numpy()
    wells.loc[is_treated, "treatment"] = np.where(number < 8, "a", "b")[is_treated]
    wells["concentration"] = 10.0 ** (number % 8 - 4)
    is_a = is_treated & (number < 8)
    raw.values[is_a, 0] += 20 / (1 + 10 ** (-1.0 - (number[is_a] % 8 - 4)))
    found = find_hits(raw, recipe(criteria=("dose_response",), features=("f0",)), raw=raw)
    assert found.doses[["treatment", "reason"]].values.tolist()[0] == ["a", ""]
    assert found.hits.groupby("treatment")["is_hit"].agg(["sum", "size"]).values.tolist() == [[8, 8], [0, 8]]
    assert found.hits["dose_response_ec50"].notna().sum() == 8
    one_each = raw.take((wells["plate"] == "P0").to_numpy())
    found = find_hits(one_each, recipe(criteria=("dose_response",), features=("f0",)), raw=one_each)
    assert found.hits["is_hit"].isna().all()
    assert found.hits["reason"].str.contains("less than 2 wells of each dose").all()


def test_one_replicate_is_never_a_hit_and_says_so():
    found = found_in(Screen(treatments=4, replicates=1, active=4, effect=50), criteria=("activity", "replication"))
    assert found.hits["is_hit"].isna().all()
    reason = "activity, replication not decided: 1 replicate, a decision needs 2"
    assert found.hits["reason"].tolist() == [reason] * 4
    assert found.notes == (f"4 treatments: {reason}",)


def test_without_negative_controls_nothing_is_a_hit_and_says_so():
    raw = draw(Screen(treatments=4, active=4, effect=50), 0)
    raw.wells["control"] = "trt"
    found = find_hits(raw, recipe(), raw=raw)
    assert found.hits["is_hit"].isna().all()
    assert found.notes[0].startswith("no well is a negative control: nothing can be told from doing nothing")


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_features_without_a_difference_give_no_hit(value):
    raw = draw(Screen(treatments=4), 0)
    raw = raw.with_values(np.full(raw.values.shape, value))
    found = find_hits(raw, recipe(criteria=("activity", "distance", "replication")), raw=raw)
    assert not found.hits["is_hit"].fillna(False).any()


def test_profiles_without_features_or_without_wells_have_an_empty_answer():
    raw = draw(Screen(treatments=4), 0)
    assert not find_hits(raw.only(()), recipe(), raw=raw).hits["is_hit"].fillna(False).any()
    nothing = raw.take(np.zeros(len(raw), bool))
    found = find_hits(nothing, recipe(), raw=nothing)
    assert len(found.hits) == len(found.controls) == len(found.doses) == 0


def test_wells_without_a_name_are_counted():
    raw = draw(Screen(treatments=4), 0)
    raw.wells.loc[raw.wells["treatment"] == "t001", "treatment"] = ""
    found = find_hits(raw, recipe(), raw=raw)
    assert "t001" not in set(found.hits["treatment"])
    assert found.notes == ("4 wells without a treatment's name took no part",)


@pytest.mark.parametrize("criterion", ["effect", "dose_response"])
def test_criteria_of_single_features_need_their_names(criterion):
    with pytest.raises(ConfigurationError, match=f"has {criterion}, which are of single features"):
        found_in(Screen(treatments=2), criteria=(criterion,))


def test_wells_as_measured_may_come_in_another_order_and_be_more():
    raw = draw(ACTIVE, 0)
    profiles = normalized(raw).take(np.arange(len(raw)) % 31 != 0)
    order = np.random.default_rng(0).permutation(len(raw))
    options = recipe(criteria=("effect", "viability"), features=("f0",))
    one, other = find_hits(profiles, options, raw=raw), find_hits(profiles, options, raw=raw.take(order))
    pd.testing.assert_frame_equal(one.hits, other.hits)
    with pytest.raises(ValueError, match="raw lacks a well of the profiles: noise P"):
        find_hits(profiles, options, raw=raw.take(order[:-5]))


def test_the_nearest_mechanism_is_named_where_mechanisms_are_known():
    raw = draw(Screen(treatments=6, active=6, effect=5), 0)
    wells = raw.wells
    for one, other in (("t000", "t001"), ("t002", "t003")):
        to, source = ((wells["treatment"] == name).to_numpy() for name in (other, one))
        raw.values[to] = raw.values[source] + np.random.default_rng(1).normal(size=raw.values[to].shape) / 10
        wells.loc[to | source, "mechanism"] = f"like {one}"
    hits = find_hits(normalized(raw), recipe(), raw=raw).hits
    assert hits["nearest_mechanism"].tolist()[:4] == ["like t000"] * 2 + ["like t002"] * 2
    assert hits["mechanism_treatments"].tolist()[:4] == [1] * 4


def test_controls_are_described_plate_by_plate():
    raw = draw(Screen(treatments=4, replicates=2, active=1, effect=8, plate=0), 0)
    raw.wells.loc[raw.wells["treatment"] == "t000", "control"] = "poscon"
    raw.wells.loc[raw.wells["treatment"] == "t001", ["control", "treatment"]] = ["poscon", "t000"]
    frame = find_hits(raw, recipe(features=("f0",)), raw=raw).controls
    assert frame.groupby(["plate", "control", "feature"]).size().to_dict() == {
        (plate, control, feature): 1
        for plate in ("P0", "P1")
        for control in ("negcon", "poscon")
        for feature in ("f0", "cells_count")
    }
    row = frame[(frame["plate"] == "P0") & (frame["control"] == "poscon") & (frame["feature"] == "f0")].iloc[0]
    here = (raw.wells["plate"] == "P0").to_numpy()
    p, n = (raw.of("f0")[here & raw.is_control(kind)] for kind in ("poscon", "negcon"))
    assert row["z_prime"] == pytest.approx(1 - 3 * (p.std(ddof=1) + n.std(ddof=1)) / abs(p.mean() - n.mean()))
    assert row["n_wells"] == 2


def test_negative_controls_are_tested_as_if_they_were_treatments():
    checks = found_in(Screen(treatments=8, controls=32), criteria=("activity", "distance", "viability")).checks
    assert checks["criterion"].tolist() == ["activity", "distance", "viability"]
    assert (checks["tested"] == 30).all()
    assert (checks["n_below"] <= 6).all()
    assert not checks["n_hits"].any()


def test_negative_controls_that_differ_are_noted():
    raw = draw(Screen(treatments=8, controls=32, replicates=2), 0)
    treatments = list_treatments(raw)
    pretended = pretend_treatments(raw, treatments, seed=0)
    for number, rows in enumerate(pretended.rows[:20]):
        raw.values[rows, number] += 60
    found = find_hits(raw, recipe(criteria=("distance",)), raw=raw)
    assert found.checks["n_below"].item() > 10
    assert found.notes[0].startswith("distance: of 30 groups of negative controls")


@pytest.mark.parametrize(
    "screen",
    [
        Screen(),
        Screen(controls=8),
        Screen(replicates=2, controls=32),
        Screen(tails=3),
        Screen(factors=4),
        Screen(features=200, treatments=30, plate=6.0),
        Screen(position=0.5),
    ],
    ids=["usual", "few controls", "two replicates", "heavy tails", "correlated", "many features", "positions"],
)
def test_noise_has_no_hits(screen):
    criteria = HitCriteria(
        criteria=("activity", "distance", "replication", "effect", "viability"),
        features=("f0", "f1"),
        permutations=1_000,
    )
    tables = [judge(screen, seed, criteria) for seed in range(5)]
    assert sum(bool(table["is_hit"].any()) for table in tables) <= 1
    for name in ("activity", "distance", "replication", "effect", "viability"):
        assert np.mean([(table[f"{name}_p"] <= 0.05).mean() for table in tables]) < 0.1


def test_false_hits_beside_true_ones_stay_below_the_rate():
    tables = [judge(Screen(active=20, effect=3), seed) for seed in range(5)]
    true = [table["is_hit"][:20].mean() for table in tables]
    false = [table["is_hit"][20:].sum() / max(table["is_hit"].sum(), 1) for table in tables]
    assert min(true) == 1
    assert np.mean(false) <= 0.05


def test_a_recipe_without_a_criterion_is_refused():
    with pytest.raises(ValueError, match="criteria"):
        recipe(criteria=())


def test_the_feature_that_is_shown_is_clear_itself():
    """One feature falls and rises again, very clearly; another rises, hardly more than by chance."""
    doses = fits((("f1", 1e-4, "neither rising nor falling throughout (p = 1e-05)"), ("f2", 0.04, "")))
    assert judged(doses) == [("f1", False)]
    assert judged(fits((("f1", 1e-4, "neither rising nor falling throughout"), ("f2", 2e-4, "")))) == [("f2", True)]


def fits(found: tuple[tuple[str, float, str], ...]) -> pd.DataFrame:
    rows = [
        {"treatment": "a", "feature": name, "p": p, "reason": reason, "ec50": 1.0, "n_replicates": 3}
        for name, p, reason in found
    ]
    q = min(1.0, min(p for _, p, _ in found) * len(found))
    return pd.DataFrame(rows).assign(q=q, ec50_low=0.5, ec50_high=2.0, concentration_unit="uM", mechanism="")


def judged(doses: pd.DataFrame) -> list[tuple[str, bool]]:
    from imaging.analyses import hits as module

    criteria = recipe(criteria=("dose_response",), features=("f1", "f2")).hits
    table = pd.DataFrame({"treatment": ["a"], "concentration": [1.0]})
    wells = SimpleNamespace(doses=doses, by=("treatment", "concentration"), criteria=criteria)
    wells.treatments = SimpleNamespace(table=table)
    figures, _ = module._dose_response(wells)
    return list(zip(figures["feature"], figures["met"], strict=True))


def test_controls_are_tested_as_treatments_also_by_ranks_and_plates_that_differ_are_said_to_matter():
    alike = draw(Screen(treatments=40, controls=32, plate=0), 0)
    quiet = find_hits(alike, recipe(criteria=("activity",), null="ranks"), raw=alike)
    assert quiet.checks.loc[0, "tested"] == 30
    assert quiet.notes == ()
    shifted = draw(Screen(treatments=40, controls=32, plate=6), 0)
    number = shifted.wells["treatment"].str[1:].where(shifted.wells["control"] == "trt", "0").astype(int) // 4
    here = shifted.wells["plate"] + " " + number.astype(str)  # four wells of one plate are replicates
    within = Profiles(shifted.values, shifted.features, shifted.wells.assign(treatment=here))
    loud = find_hits(within, recipe(criteria=("activity",), null="ranks"), raw=within)
    assert any(note.startswith("activity: of 28 groups of negative controls ") for note in loud.notes), loud.notes
