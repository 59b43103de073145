"""Shares of variance are those of mixed models, and where there is none the reason says why."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.variance import MOST_PATTERNS, share_variance
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_screen import add_effect, make_profiles, make_wells
from tests.parts import require

FACTORS = ("batch", "plate", "treatment")


def _made(features: int = 20, seed: int = 0) -> Profiles:
    """288 wells less a third at random, so that nothing is balanced, with effects that differ between features."""
    rng = np.random.default_rng(seed)
    wells = make_wells(batches=4, plates=3, shape=(4, 6), treatments=10, seed=seed)
    wells = wells[rng.random(len(wells)) < 0.67].reset_index(drop=True)
    values = rng.normal(size=(len(wells), features))
    for column in FACTORS:
        add_effect(values, wells[column], rng.uniform(0.2, 1.5, features), rng)
    return make_profiles(wells, values)


def _wide(shares: pd.DataFrame) -> pd.DataFrame:
    return shares.pivot(index="feature", columns="factor", values="share")


def _reml(profiles: Profiles, feature: str) -> dict[str, float]:
    """Shares by statsmodels' restricted maximum likelihood."""
    names = list(FACTORS)
    frame = profiles.wells[names].assign(y=profiles.of(feature), one=1)
    frame = frame[np.isfinite(frame["y"])]
    frame["y"] = (frame["y"] - frame["y"].mean()) / frame["y"].std()
    model = formulas.mixedlm(
        "y ~ 1", frame, groups="one", re_formula="0", vc_formula={name: f"0 + C({name})" for name in names}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # log of a component that is 0
        fit = model.fit(reml=True, method=["lbfgs", "powell"])
    parts = dict(zip(model.exog_vc.names, fit.vcomp, strict=True)) | {"residual": float(fit.scale)}
    return {name: part / sum(parts.values()) for name, part in parts.items()}


def test_shares_of_twenty_features_are_those_of_mixed_models() -> None:
    profiles = _made()

    ours = _wide(share_variance(profiles, FACTORS))

    theirs = pd.DataFrame({feature: _reml(profiles, feature) for feature in profiles.features}).T
    difference = (ours[[*FACTORS, "residual"]] - theirs[[*FACTORS, "residual"]]).abs()
    assert difference.to_numpy().max() < 0.12
    assert difference.to_numpy().mean() < 0.02


def test_shares_of_a_real_screen_are_those_of_mixed_models() -> None:
    """BBBC021's weeks 1 to 4: 342 wells, four of five with a treatment, the rest DMSO."""
    profiles = _read_bbbc021()

    ours = _wide(share_variance(profiles, FACTORS))

    theirs = pd.DataFrame({feature: _reml(profiles, feature) for feature in profiles.features}).T
    difference = (ours[[*FACTORS, "residual"]] - theirs[[*FACTORS, "residual"]]).abs()
    assert difference.to_numpy().mean() < 0.06
    assert np.corrcoef(ours["treatment"], theirs["treatment"])[0, 1] > 0.95


def _read_bbbc021() -> Profiles:
    """Every 22nd feature, so that 20 remain; the week is the batch."""
    folder = Path(require("shared")) / "data" / "profiles_bbbc021_subset"
    profiles = pd.read_csv(folder / "ljosa_per_well_mean_weeks1-4.csv.gz")
    images = pd.read_csv(folder / "BBBC021_v1_image_weeks1-4.csv.gz", low_memory=False)
    place = ["Image_Metadata_Plate", "Image_Metadata_Well"]
    images = images.rename(
        columns={"Image_Metadata_Plate_DAPI": place[0], "Image_Metadata_Well_DAPI": place[1]}
    ).drop_duplicates(place)
    wells = profiles[place].merge(images, on=place, how="left")
    batch = wells[place[0]].str.extract(r"(Week\d+)")[0]
    treatment, dose = wells["Image_Metadata_Compound"].fillna(""), wells["Image_Metadata_Concentration"]
    known = {"batch": batch, "plate": wells[place[0]], "treatment": treatment, "concentration": dose}
    features = [name for name in profiles.columns if not name.startswith("Image_")][::22][:20]
    frame = complete_wells(pd.DataFrame(known).assign(well=wells[place[1]], experiment="BBBC021", control="trt"))
    return Profiles(profiles[features].to_numpy(float), tuple(features), frame)


def test_a_balanced_design_gives_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    wells = pd.DataFrame([(p, t) for p in "abcd" for t in "uvwxyz" for _ in range(3)], columns=["plate", "treatment"])
    values = rng.normal(size=(len(wells), 3))
    for column, sd in (("plate", 2.0), ("treatment", 1.0)):
        add_effect(values, wells[column], sd, rng)
    profiles = make_profiles(complete_wells(wells.assign(experiment="e", batch="b", control="trt")), values)

    shares = _wide(share_variance(profiles, ("plate", "treatment")))

    y = values.reshape(4, 6, 3, 3)
    plates, treatments = y.mean(axis=(1, 2)), y.mean(axis=(0, 2))
    mean = y.mean(axis=(0, 1, 2))
    of_plates = 18 * ((plates - mean) ** 2).sum(axis=0) / 3
    of_treatments = 12 * ((treatments - mean) ** 2).sum(axis=0) / 5
    rest = (y - plates[:, None, None] - treatments[None, :, None] + mean) ** 2
    residual = rest.sum(axis=(0, 1, 2)) / (72 - 1 - 3 - 5)
    parts = np.clip([(of_plates - residual) / 18, (of_treatments - residual) / 12, residual], 0, None)
    expected = (parts / parts.sum(axis=0)).T
    np.testing.assert_allclose(shares[["plate", "treatment", "residual"]], expected, atol=1e-9)


def test_the_order_of_wells_changes_nothing() -> None:
    profiles = _made(features=4)
    shuffled = profiles.take(np.random.default_rng(5).permutation(len(profiles)))

    pd.testing.assert_frame_equal(share_variance(profiles, FACTORS), share_variance(shuffled, FACTORS))


def test_shares_do_not_depend_on_the_unit_of_a_feature() -> None:
    profiles = _made(features=4)
    scaled = profiles.with_values(profiles.values * 1e-6 + 3.0)

    np.testing.assert_allclose(
        _wide(share_variance(profiles, FACTORS)), _wide(share_variance(scaled, FACTORS)), atol=1e-6
    )


def test_a_negative_component_is_zero_and_said_to_be() -> None:
    """Plates that are more alike than chance allows: the estimate of their variance is below zero."""
    wells = make_wells(batches=1, plates=6, treatments=11)
    values = np.random.default_rng(2).normal(size=(len(wells), 1))
    values -= pd.DataFrame(values).groupby(wells["plate"].to_numpy()).transform("mean").to_numpy()

    shares = share_variance(make_profiles(wells, values), ("plate", "treatment")).set_index("factor")

    assert shares.loc["plate", "share"] == 0
    assert "negative" in shares.loc["plate", "reason"]
    assert shares["share"].sum() == pytest.approx(1)


def test_a_well_without_a_value_is_left_out_for_that_feature_only() -> None:
    profiles = _made(features=3)
    values = profiles.values.copy()
    values[4, 1] = np.nan

    shares = _wide(share_variance(profiles.with_values(values), FACTORS))

    without = profiles.take(np.arange(len(profiles)) != 4)
    np.testing.assert_allclose(shares.loc["F001"], _wide(share_variance(without, FACTORS)).loc["F001"], atol=1e-9)
    np.testing.assert_allclose(shares.loc["F000"], _wide(share_variance(profiles, FACTORS)).loc["F000"], atol=1e-9)


def test_many_different_gaps_are_filled_and_said_to_be() -> None:
    profiles = _made(features=MOST_PATTERNS + 3)
    values = profiles.values.copy()
    for feature in range(values.shape[1]):
        values[feature, feature] = np.nan

    shares = share_variance(profiles.with_values(values), FACTORS)

    filled = shares[shares["reason"].str.contains("stand at the feature's mean")]["feature"].unique()
    assert len(filled) == 3
    assert shares["share"].notna().all()


def test_features_that_are_constant_or_mostly_missing_have_a_reason_instead_of_shares() -> None:
    profiles = _made(features=3)
    values = profiles.values.copy()
    values[:, 0] = 7.0
    values[:, 1] = np.nan

    shares = share_variance(profiles.with_values(values), FACTORS).set_index("feature")

    assert shares.loc[["F000", "F001"], "share"].isna().all()
    assert set(shares.loc["F000", "reason"]) == {"all wells have the same value"}
    assert shares.loc["F001", "reason"].str.contains("wells have no value").all()
    assert shares.loc["F002", "share"].notna().all()


def test_a_plate_that_is_its_batch_has_no_share_of_its_own() -> None:
    wells = make_wells(batches=4, plates=1, treatments=11)
    values = np.random.default_rng(3).normal(size=(len(wells), 1))

    shares = share_variance(make_profiles(wells, values), FACTORS).set_index("factor")

    assert shares["share"].isna().loc["plate"]
    assert shares.loc["plate", "reason"] == "plate cannot be told from batch in these wells"
    assert shares.loc[["batch", "treatment", "residual"], "share"].notna().all()


def test_one_batch_and_treatments_without_replicates_have_no_share() -> None:
    wells = make_wells(batches=1, plates=1, treatments=200, controls=())
    values = np.random.default_rng(4).normal(size=(len(wells), 2))

    shares = share_variance(make_profiles(wells, values), ("batch", "row", "treatment")).set_index("factor")

    assert set(shares.loc["batch", "reason"]) == {"all wells have the same batch"}
    assert shares.loc["treatment", "reason"].str.contains("a treatment of its own").all()
    assert shares.loc["row", "share"].notna().all()


def test_wells_whose_treatment_nobody_knows_are_no_replicates_of_each_other() -> None:
    profiles = _made(features=2)
    more = profiles.wells.head(40).assign(treatment="", well="Z99")
    added = Profiles(
        np.vstack([profiles.values, np.full((40, 2), 1e3)]),
        profiles.features,
        pd.concat([profiles.wells, more], ignore_index=True),
    )

    pd.testing.assert_frame_equal(share_variance(added, FACTORS), share_variance(profiles, FACTORS))


def test_the_edge_of_a_plate_is_a_factor() -> None:
    wells = make_wells(batches=1, plates=4, treatments=11)
    is_edge = wells["row"].isin(["A", "H"]) | wells["column"].isin([1, 12])
    values = np.random.default_rng(6).normal(size=(len(wells), 1)) + 4.0 * is_edge.to_numpy()[:, None]

    shares = share_variance(make_profiles(wells, values), ("plate", "edge")).set_index("factor")

    assert shares.loc["edge", "share"] > 0.8


def test_a_factor_that_is_no_column_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigurationError, match=r"no such column.*plate"):
        share_variance(_made(features=1), ("plat",))


def test_no_wells_give_reasons() -> None:
    shares = share_variance(_made(features=1).take(np.array([], dtype=int)), FACTORS)

    assert shares["share"].isna().all()
    assert set(shares["reason"]) == {"no well is left"}
