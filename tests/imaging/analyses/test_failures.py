"""Process failures: quiet on clean screens, seen where they are planted, decided by rules and people."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from imaging.analyses.failures import b_scores, find_failures, mark_excluded, polish_plate
from imaging.analyses.failures.decided import count_kept
from imaging.analyses.failures.finding import COLUMNS
from imaging.analyses.failures.limits import chance_of
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import Failures, read_analysis_recipe
from imaging.errors import ConfigurationError
from tests.imaging.analyses.failing_screen import PLANTED, Planted, Screen, is_found, make_screen, plant_drift

SHAPE, TREATMENTS = (16, 24), 150


def _find(screen: Screen, **kwargs) -> pd.DataFrame:
    return find_failures(screen.profiles, Failures(), images=screen.images, **kwargs)


@functools.cache
def _clean(seed: int) -> pd.DataFrame:
    return _find(make_screen(seed=seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_clean_screen_has_no_failure(seed: int) -> None:
    found = _clean(seed)

    assert list(found.columns) == list(COLUMNS)
    assert found["evidence"].tolist() == []


@pytest.mark.parametrize(("plates", "shape", "treatments"), [(2, (8, 12), 8), (2, (8, 12), 64), (4, (4, 6), 6)])
def test_a_small_clean_screen_has_no_failure(plates: int, shape: tuple[int, int], treatments: int) -> None:
    screens = [make_screen(seed=seed, plates=plates, shape=shape, treatments=treatments) for seed in range(4)]

    assert [evidence for screen in screens for evidence in _find(screen)["evidence"]] == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name.replace(" ", "-"))
def test_a_planted_failure_is_seen_where_it_is(planted: Planted) -> None:
    screen = make_screen(seed=0)
    planted.plant(screen)

    found = _find(screen)

    assert is_found(found, planted)
    there = found[found["rule"] == planted.rule]
    assert set(there["plate"]) == {planted.place["plate"]}
    assert there["evidence"].str.contains(r"\d").all()


def test_fading_light_is_a_drift_that_excludes_nobody() -> None:
    screen = make_screen(seed=0, plates=16, shape=(8, 12), treatments=20)
    plant_drift(screen, share=0.4)

    found = _find(screen)

    assert set(found["rule"]) == {"drift"}
    assert set(found["feature"]) == {"MeanIntensity_DNA", "MeanIntensity_ER"}
    assert "Western" not in found["evidence"].iloc[0]
    assert found["evidence"].str.contains("rule [1-4], ").all()
    assert not mark_excluded(screen.profiles, found).any()


def test_the_order_of_plates_in_time_is_that_of_a_column_where_there_is_one() -> None:
    """The light fades in the order of the times, which is not that of the names."""
    screen = make_screen(seed=0, plates=16, shape=(8, 12), treatments=20)
    plant_drift(screen, share=0.4)
    order = {plate: n * 7 % 16 for n, plate in enumerate(sorted(screen.profiles.wells["plate"].unique()))}
    screen.profiles.wells["acquired_at"] = [
        f"2026-01-{order[plate] + 1:02d}" for plate in screen.profiles.wells["plate"]
    ]

    assert "drift" not in set(_find(screen)["rule"])


def test_a_compound_that_kills_its_cells_on_every_plate_is_no_failure() -> None:
    screen = make_screen(seed=1)
    for plate in screen.profiles.wells["plate"].unique():
        here = screen.where(plate=plate) & screen.profiles.wells["treatment"].eq("T001").to_numpy()
        screen.scale_counts(here, 0.03)

    assert "cell_loss" not in set(_find(screen)["rule"])


def test_a_compound_that_glows_on_every_plate_is_no_failure_and_one_well_that_does_is() -> None:
    screen = make_screen(seed=1)
    wells = screen.profiles.wells
    glowing = screen.images_of(wells["treatment"].eq("T003").to_numpy(), channel="DNA")
    screen.add("PercentSaturated", glowing, 20.0)

    assert "saturation" not in set(_find(screen)["rule"])


def test_cell_loss_without_replicates_cannot_be_told_from_toxicity() -> None:
    screen = make_screen(seed=1)
    screen.profiles.wells["treatment"] = [f"own {n}" for n in range(len(screen.profiles))]
    screen.scale_counts(screen.where(plate="P001", well="H12"), 0.05)

    assert "cell_loss" not in set(_find(screen)["rule"])


def test_one_replicate_more_or_less_is_no_outlier_of_two() -> None:
    wells = make_screen(seed=2, treatments=1000).profiles
    few = wells.take(wells.wells.groupby("treatment").cumcount() < 2)
    values = few.values.copy()
    values[5] += 50

    assert "replicates" not in set(find_failures(few.with_values(values), Failures())["rule"])


def test_half_of_the_sites_make_a_well_fail() -> None:
    screen = make_screen(seed=2)
    here = screen.where(plate="P002", well="F10")
    screen.add("PowerLogLogSlope", screen.images_of(here, site=1, channel="ER"), -0.9)

    found = _find(screen)

    assert found[["level", "well", "excluded"]].to_numpy().tolist() == [["well", "F10", True]]
    assert "7" not in found["decided_by"].iloc[0]
    assert mark_excluded(screen.profiles, found).sum() == 1


def test_metrics_of_images_may_be_features() -> None:
    screen = make_screen(seed=3)
    images = screen.images[(screen.images["site"] == 1) & (screen.images["channel"] == "DNA")]
    slopes = screen.profiles.wells.merge(images, on=["plate", "well"], how="left")["PowerLogLogSlope"].to_numpy(
        copy=True
    )
    here = screen.where(plate="P002", well="F10")
    slopes[here] -= 1.5
    profiles = Profiles(
        np.column_stack([screen.profiles.values, slopes]),
        (*screen.profiles.features, "ImageQuality_PowerLogLogSlope_DNA"),
        screen.profiles.wells,
    )

    found = find_failures(profiles, Failures(rules=("focus",)))

    assert found[["rule", "well"]].to_numpy().tolist() == [["focus", "F10"]]


def test_a_line_that_holds_one_treatment_by_design_is_no_pattern() -> None:
    """Doses of one compound along the columns: each column is another dose, and kills more."""
    screen = make_screen(seed=4)
    wells = screen.profiles.wells
    treated = wells["control"].eq("trt").to_numpy()
    wells.loc[treated, "treatment"] = "taxol"
    wells.loc[treated, "concentration"] = wells.loc[treated, "column"]
    wells["cells_count"] = np.where(treated, wells["cells_count"] * 0.93 ** wells["column"], wells["cells_count"])

    found = _find(screen)

    assert "column" not in set(found["level"])


def test_a_row_of_one_plate_is_seen_where_every_plate_holds_the_same() -> None:
    screen = make_screen(seed=5)
    wells = screen.profiles.wells
    first = wells[wells["plate"] == "P001"].set_index("well")["treatment"]
    wells["treatment"] = wells["well"].map(first)
    screen.scale_counts(screen.where(plate="P004", row="D"), 0.6)

    found = _find(screen)

    assert ("row", "D", "P004") in set(found[["level", "row", "plate"]].itertuples(index=False, name=None))


def test_a_row_that_differs_little_is_stated_and_stays() -> None:
    screen = make_screen(seed=5)
    screen.scale_counts(screen.where(plate="P004", row="D"), 0.82)

    found = find_failures(screen.profiles, Failures(rules=("pattern",)))

    assert found[["plate", "row", "excluded"]].to_numpy().tolist() == [["P004", "D", False]]


def _decide(kind: str, **place) -> pd.DataFrame:
    return pd.DataFrame([{"kind": kind, "decided_by": "Ada", "reason": "seen by eye", "experiment": "made"} | place])


def test_a_person_excludes_a_well_and_the_table_says_who_and_why() -> None:
    screen = make_screen(seed=0)

    found = _find(screen, decisions=_decide("excluded", plate="P001", well="C05"))

    assert found[["rule", "level", "well", "excluded", "decided_by", "reason"]].to_numpy().tolist() == [
        ["decision", "well", "C05", True, "Ada", "seen by eye"]
    ]
    assert screen.profiles.wells[mark_excluded(screen.profiles, found)]["well"].tolist() == ["C05"]


def test_to_keep_a_plate_takes_in_no_well_that_somebody_excluded() -> None:
    screen = make_screen(seed=0)
    said = pd.concat([_decide("excluded", plate="P001", well="C05"), _decide("kept", plate="P001", well="")])

    found = _find(screen, decisions=said.reset_index(drop=True))

    assert screen.profiles.wells[mark_excluded(screen.profiles, found)]["well"].tolist() == ["C05"]


def test_a_person_keeps_what_a_rule_excludes() -> None:
    screen = make_screen(seed=0)
    PLANTED[0].plant(screen)

    found = _find(screen, decisions=_decide("kept", plate="P002", well="F10"))

    assert set(found["excluded"]) == {False}
    assert set(found["decided_by"]) == {"Ada"}
    assert not mark_excluded(screen.profiles, found).any()


def test_a_well_that_is_kept_stays_where_its_row_is_excluded() -> None:
    screen = make_screen(seed=0)
    PLANTED[5].plant(screen)

    found = _find(screen, decisions=_decide("kept", plate="P002", well="G10"))

    marked = screen.profiles.wells[mark_excluded(screen.profiles, found)]
    assert set(marked["row"]) == {"G"}
    assert len(marked) == 23
    assert "G10" not in set(marked["well"])


def test_other_decisions_are_not_about_wells_that_failed() -> None:
    screen = make_screen(seed=0)

    assert _find(screen, decisions=_decide("missing", plate="P001", well="C05", site=1, channel="DNA")).empty


def test_sites_that_failed_are_listed() -> None:
    screen = make_screen(seed=0)
    sites = pd.DataFrame(
        [
            ("made", "P001", "B02", 1, "failed"),
            ("made", "P001", "B02", 2, "missing"),
            ("made", "P001", "B03", 1, "done"),
        ],
        columns=["experiment", "plate", "well", "site", "state"],
    )

    found = _find(screen, sites=sites)

    assert found[["rule", "well", "site", "excluded"]].to_numpy().tolist() == [
        ["sites", "B02", 1, False],
        ["sites", "B02", 2, False],
    ]


def test_the_order_of_wells_and_images_changes_nothing() -> None:
    screen = make_screen(seed=0)
    for planted in PLANTED[:9]:
        planted.plant(screen)
    rng = np.random.default_rng(0)
    shuffled = Screen(
        screen.profiles.take(rng.permutation(len(screen.profiles))),
        screen.images.sample(frac=1, random_state=0).reset_index(drop=True),
    )

    pd.testing.assert_frame_equal(_find(screen), _find(shuffled), rtol=1e-9)


def test_rules_are_switched_off_and_a_wrong_name_is_refused() -> None:
    screen = make_screen(seed=0)
    PLANTED[0].plant(screen)

    assert find_failures(screen.profiles, Failures(rules=("debris",)), images=screen.images).empty
    assert read_analysis_recipe(b"failures: {rules: none}", name="a", place="a.yaml").failures.rules == ()
    with pytest.raises(ConfigurationError, match="fault") as caught:
        read_analysis_recipe(b"failures: {rules: [fokus]}", name="a", place="a.yaml")
    assert "focus" in str(caught.value)


def test_wells_without_anything_give_an_empty_table() -> None:
    wells = complete_wells(pd.DataFrame({"experiment": ["e"] * 3, "plate": ["p"] * 3, "well": ["A01", "A02", ""]}))
    nothing = Profiles(np.full((3, 2), np.nan), ("a", "b"), wells)

    for profiles in (nothing, nothing.take(np.array([], dtype=int))):
        found = find_failures(profiles, Failures())
        assert list(found.columns) == list(COLUMNS)
        assert found.empty


def test_a_plate_of_one_treatment_and_no_controls_gives_no_failure() -> None:
    screen = make_screen(seed=6, plates=2)
    screen.profiles.wells["treatment"] = "X"
    screen.profiles.wells["control"] = "trt"
    values = np.random.default_rng(0).normal(size=screen.profiles.values.shape)
    screen.profiles.wells["cells_count"] = np.random.default_rng(1).poisson(500, len(values)).astype(float)

    assert find_failures(screen.profiles.with_values(values), Failures()).empty


def test_controls_without_cells_are_seen_on_a_single_plate() -> None:
    screen = make_screen(seed=7, plates=2)
    one = screen.profiles.take((screen.profiles.wells["plate"] == "P001").to_numpy())
    counts = one.wells["cells_count"].where(~one.is_control("negcon"), 20.0)
    one.wells["cells_count"] = counts

    found = find_failures(one, Failures(rules=("controls",)))

    assert found[["level", "rule", "excluded"]].to_numpy().tolist() == [["plate", "controls", True]]
    assert "though most treatments do not make cells grow" in found["evidence"].iloc[0]


def test_median_polish_takes_rows_and_columns_off() -> None:
    """Tukey's additive table: what is added comes back, the medians of the effects are 0."""
    rows, columns = np.array([-2.0, 0, 1, 0, 3]), np.array([0.0, 5, -1, 0])

    polished = polish_plate(10 + rows[:, None] + columns[None, :])

    np.testing.assert_allclose(polished.rows, rows)
    np.testing.assert_allclose(polished.columns, columns)
    assert polished.overall == pytest.approx(10)
    np.testing.assert_allclose(polished.residuals, 0, atol=1e-12)


def test_b_scores_see_a_well_in_a_row_that_is_low_as_a_whole() -> None:
    grid = np.random.default_rng(0).normal(100, 1, (8, 12))
    grid[3] -= 40
    grid[3, 5] += 12
    grid[0, 0] = np.nan

    scores = b_scores(grid)

    assert np.nanargmax(scores) == 3 * 12 + 5
    assert scores[3, 5] > 6
    assert abs(np.nanmedian(scores[3])) < 0.5
    assert np.isnan(scores[0, 0])
    assert np.isnan(b_scores(np.ones((4, 4)))).all()


def test_what_a_person_keeps_is_no_failure() -> None:
    found = pd.DataFrame(
        [("decision", True), ("decision", False), ("focus", False), ("focus", True)], columns=["rule", "excluded"]
    )
    assert count_kept(found) == 1
    assert count_kept(pd.DataFrame()) == 0


def test_chances_that_no_draw_reaches_are_those_of_the_tail() -> None:
    drawn = np.random.default_rng(0).exponential(size=20_000)
    assert chance_of(2.0, drawn) == (1 + (drawn >= 2).sum()) / 20_001
    for seen in (9.0, 12.0, 15.0):
        assert np.exp(-seen) / 3 < chance_of(seen, drawn) < 3 * np.exp(-seen)
    bounded = np.random.default_rng(0).normal(size=20_000)
    for seen in (4.5, 6.0):
        assert chance_of(seen, bounded) > norm.sf(seen) / 2  # a light tail is never called rarer than it is
    assert chance_of(3.0, np.zeros(20_000)) == 1 / 20_001
