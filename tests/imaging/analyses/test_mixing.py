"""Batches that are shifted do not mix, those that are not do; what is undefined has a reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, silhouette_score

from imaging.analyses.mixing import measure_mixing
from imaging.analyses.profiles import Profiles
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_screen import add_effect, make_profiles, make_wells


def _screen(*, shift: float = 0.0, signal: float = 0.0, batches: int = 3, seed: int = 0) -> Profiles:
    rng = np.random.default_rng(seed)
    wells = make_wells(batches=batches, plates=2, shape=(6, 8), treatments=14, seed=seed)
    values = rng.normal(size=(len(wells), 30))
    add_effect(values, wells["batch"], shift, rng)
    add_effect(values, wells["treatment"], signal, rng)
    return make_profiles(wells, values)


def _measure(profiles: Profiles):
    return measure_mixing(profiles, batch="batch", label="treatment")


def test_batches_without_an_effect_are_rejected_at_the_rate_of_the_test() -> None:
    rates = np.array([_measure(_screen(seed=seed)).kbet for seed in range(8)], dtype=float)

    assert 0.01 < rates.mean() < 0.12


def test_shifted_batches_do_not_mix() -> None:
    mixed, apart = _measure(_screen()), _measure(_screen(shift=2.0))

    assert apart.kbet > 0.95
    assert apart.silhouette_batch > mixed.silhouette_batch + 0.2
    assert apart.map_batch > 0.9 > 0.5 > mixed.map_batch


def test_treatments_that_do_something_separate() -> None:
    still, active = _measure(_screen()), _measure(_screen(signal=2.0))

    assert active.map_label > 0.9 > 0.3 > still.map_label
    assert active.silhouette_label > still.silhouette_label + 0.2


def test_measures_are_those_of_scikit_learn() -> None:
    profiles = _screen(shift=0.5, signal=0.5)
    found = _measure(profiles)

    labels = profiles.wells["treatment"].to_numpy()
    treated = labels != "DMSO"
    values, labels = profiles.values[treated], labels[treated]
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    precisions = []
    for well in range(len(unit)):
        others = np.arange(len(unit)) != well
        precisions.append(average_precision_score(labels[others] == labels[well], unit[others] @ unit[well]))
    assert found.map_label == pytest.approx(np.mean(precisions), abs=1e-12)
    assert found.silhouette_label == pytest.approx(silhouette_score(values, labels), abs=1e-12)
    assert found.silhouette_batch == pytest.approx(
        silhouette_score(profiles.values, profiles.wells["batch"]), abs=1e-12
    )


def test_treatments_that_differ_between_batches_are_no_effect_of_the_batch() -> None:
    """Half of the treatments are in one batch each, and far from everything: those wells are not compared."""
    profiles = _screen(signal=0.0)
    own = profiles.wells["treatment"].isin([f"T{number:03d}" for number in range(7)]).to_numpy()
    wells = profiles.wells.assign(
        treatment=np.where(own, profiles.wells["treatment"] + profiles.wells["batch"], profiles.wells["treatment"])
    )
    values = profiles.values.copy()
    add_effect(values[own], wells["batch"][own], 5.0, np.random.default_rng(1))
    values[own] += 10.0 * (wells["batch"][own] == "B1").to_numpy()[:, None]

    found = _measure(Profiles(values, profiles.features, wells))

    assert found.kbet < 0.15
    assert "occurs in several batches" in found.notes[0]


def test_a_batch_of_one_plate_and_batches_of_different_sizes_are_compared() -> None:
    profiles = _screen()
    kept = ~((profiles.wells["batch"] == "B1") & (profiles.wells["plate"] == "P001"))
    small = profiles.take(kept.to_numpy())

    assert _measure(small).kbet < 0.2


def test_a_batch_with_hardly_a_well_counts_with_the_small_ones() -> None:
    profiles = _screen()
    names = profiles.wells["batch"].to_numpy().copy()
    names[:2] = "B9"
    names[2:4] = "B8"

    found = measure_mixing(profiles.take(np.arange(len(profiles))), batch="batch", label="treatment")
    odd = _measure(Profiles(profiles.values, profiles.features, profiles.wells.assign(batch=names)))

    assert abs(odd.kbet - found.kbet) < 0.1


def test_one_batch_cannot_mix_and_the_reason_is_said() -> None:
    found = _measure(_screen(batches=1))

    assert found.silhouette_batch is None
    assert found.kbet is None
    assert found.map_batch is None
    assert found.map_label is not None
    assert found.notes == ("mixing of batches is undefined: all wells are of one batch (B1)",)


def test_treatments_without_replicates_cannot_separate() -> None:
    profiles = _screen()
    wells = profiles.wells.assign(treatment=[f"T{number}" for number in range(len(profiles))])

    found = _measure(Profiles(profiles.values, profiles.features, wells))

    assert found.silhouette_label is None
    assert found.map_label is None
    assert any("fewer than two values of treatment" in note for note in found.notes)


def test_features_with_gaps_are_left_out_and_said_to_be() -> None:
    profiles = _screen()
    values = profiles.values.copy()
    values[3, 0] = np.nan

    found = _measure(profiles.with_values(values))

    assert found == _with_note(_measure(profiles.only(profiles.features[1:])), found.notes[0])
    assert found.notes[0].startswith("1 of 30 features")


def _with_note(mixing, note):
    return type(mixing)(**(mixing.__dict__ | {"notes": (note, *mixing.notes)}))


def test_few_wells_or_no_feature_give_a_reason() -> None:
    profiles = _screen()

    assert "only 5 wells" in _measure(profiles.take(np.arange(5))).notes[0]
    assert "no feature" in _measure(profiles.with_values(np.full_like(profiles.values, np.nan))).notes[-1]


def test_the_order_of_wells_changes_nothing() -> None:
    profiles = _screen(shift=0.3, signal=0.3)

    assert _measure(profiles) == _measure(profiles.take(np.random.default_rng(1).permutation(len(profiles))))


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no such column"):
        measure_mixing(_screen(), batch="bach", label="treatment")


def test_empty_labels_belong_to_nobody() -> None:
    profiles = _screen(signal=2.0)
    blank = pd.Series(np.where(np.arange(len(profiles)) < 40, "", profiles.wells["treatment"]))

    found = _measure(Profiles(profiles.values, profiles.features, profiles.wells.assign(treatment=blank)))

    assert found.map_label > 0.9


def test_of_many_wells_as_many_are_compared_as_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = _screen(shift=2.0, signal=2.0)
    whole = _measure(profiles)
    monkeypatch.setattr("imaging.analyses.mixing.MOST_WELLS", len(profiles) // 2)
    thinned = _measure(profiles)
    assert thinned.notes == (f"mixing is measured on {len(profiles) // 2} of {len(profiles)} wells at most",)
    assert thinned != whole
    for name in ("silhouette_batch", "silhouette_label", "kbet", "map_batch", "map_label"):
        assert getattr(thinned, name) == pytest.approx(getattr(whole, name), abs=0.15), name
