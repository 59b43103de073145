"""Average precision, against copairs and by hand."""

import numpy as np
import pandas as pd
import pytest
from copairs import map as copairs_map

from imaging.analyses import average_precision as module
from imaging.analyses.average_precision import average_precision, label_map, mean_precisions, rank_p_values


def wells(seed=0, *, integers=False):
    random = np.random.default_rng(seed)
    values = random.normal(size=(120, 20))
    if integers:
        values = random.integers(1, 3, size=(120, 3)).astype(float)
    is_control = np.arange(120) < 24
    labels = np.where(is_control, -1, np.arange(120) // 4)
    return values, labels, is_control


def copairs_precision(values, labels, is_control):
    meta = pd.DataFrame(
        {"t": np.where(is_control, "DMSO", labels.astype(str)), "reference": np.where(is_control, np.arange(120), -1)}
    )
    found = copairs_map.average_precision(
        meta, values, ["t", "reference"], [], [], ["t", "reference"], progress_bar=False
    )
    return found[~is_control]


@pytest.mark.parametrize("integers", [False, True], ids=["no ties", "ties"])
def test_replicates_among_controls_score_as_in_copairs(integers):
    values, labels, is_control = wells(integers=integers)
    theirs = copairs_precision(values, labels, is_control)
    ours = average_precision(values, labels, reference=is_control, ties="first")
    assert ours.values[~is_control] == pytest.approx(theirs["average_precision"], abs=1e-9)
    assert ours.positives[~is_control].tolist() == theirs["n_pos_pairs"].tolist()
    assert ours.total[~is_control].tolist() == theirs["n_total_pairs"].tolist()
    assert np.isnan(ours.values[is_control]).all()


def test_ties_are_shared_unless_the_positive_shall_come_first():
    values, labels, is_control = wells(integers=True)
    shared = average_precision(values, labels, reference=is_control).values
    first = average_precision(values, labels, reference=is_control, ties="first").values
    assert np.nanmean(shared) < np.nanmean(first) - 0.02
    untied, labels, is_control = wells()
    assert average_precision(untied, labels, reference=is_control).values == pytest.approx(
        average_precision(untied, labels, reference=is_control, ties="first").values, nan_ok=True
    )


def test_shared_ties_are_the_mean_over_all_orders():
    near, far = np.array([0.5, 0.5, 0.9], np.float32), np.array([0.1, 0.5, 0.9, 0.9], np.float32)
    random = np.random.default_rng(0)
    distance, is_near = np.concatenate([near, far]), np.arange(7) < 3
    scores = []
    for _ in range(40_000):
        order = np.lexsort((random.random(7), distance))
        places = np.flatnonzero(is_near[order]) + 1
        scores.append(np.mean(np.arange(1, 4) / places))
    assert module._precision(near, far, "mean") == pytest.approx(np.mean(scores), abs=0.002)


def test_profiles_that_are_all_alike_do_not_look_perfect():
    labels = np.array([0, 0, *[-1] * 8])
    found = average_precision(np.ones((10, 3)), labels, reference=labels < 0).values[0]
    assert found == pytest.approx(np.mean(1 / np.arange(1, 10)))


def test_all_against_all_scores_as_in_copairs():
    values, _, _ = wells(1)
    labels = np.arange(120) % 15
    meta = pd.DataFrame({"t": labels.astype(str)})
    theirs = copairs_map.average_precision(meta, values, ["t"], [], [], ["t"], progress_bar=False)
    assert average_precision(values, labels).values == pytest.approx(theirs["average_precision"], abs=1e-9)


def test_profiles_equal_in_what_must_differ_are_no_pair():
    values, _, _ = wells(2)
    labels, batch = np.arange(120) % 15, np.arange(120) // 60
    meta = pd.DataFrame({"t": labels.astype(str), "batch": batch.astype(str)})
    theirs = copairs_map.average_precision(meta, values, ["t"], ["batch"], [], ["t"], progress_bar=False)
    ours = average_precision(values, labels, apart=batch)
    assert ours.values == pytest.approx(theirs["average_precision"], abs=1e-9)


def test_p_values_are_copairs_with_its_seed_and_null_size(tmp_path):
    values, labels, is_control = wells()
    values[4 * 6 : 4 * 9, 0] += 5
    theirs = copairs_map.mean_average_precision(
        copairs_precision(values, labels, is_control), ["t"], 1_000, 0.05, 7, progress_bar=False, cache_dir=tmp_path
    )
    groups = [np.flatnonzero(labels == int(name)) for name in theirs["t"]]
    ours = average_precision(values, labels, reference=is_control)
    assert mean_precisions(ours, groups) == pytest.approx(theirs["mean_average_precision"])
    assert rank_p_values(ours, groups, size=1_000, seed=7, equal=False).tolist() == theirs["p_value"].tolist()


def test_the_best_list_of_few_pairs_is_not_called_unlikely():
    labels = np.array([0, 0, *[-1] * 4])
    values = np.eye(6)
    values[1] = values[0]
    found = average_precision(values, labels, reference=labels < 0)
    groups = [np.array([0, 1])]
    assert found.values[0] == 1
    assert rank_p_values(found, groups, size=1_000, seed=0, equal=False)[0] == 1 / 1_001
    assert rank_p_values(found, groups, size=1_000, seed=0)[0] == pytest.approx(1 / 5, abs=0.04)


def test_blocks_change_nothing(monkeypatch):
    values, labels, is_control = wells()
    whole = average_precision(values, labels, reference=is_control)
    nulls = module.null_precisions(np.array([[3, 27]]), 500, 1)
    monkeypatch.setattr(module, "BLOCK_BYTES", 7 * 8 * 30)
    blocks = average_precision(values, labels, reference=is_control)
    assert blocks.values == pytest.approx(whole.values, nan_ok=True)
    assert np.array_equal(module.null_precisions(np.array([[3, 27]]), 500, 1), nulls)


def test_a_profile_alone_of_its_label_or_without_others_has_no_precision():
    assert np.isnan(average_precision(np.eye(3), np.array([0, 1, 2])).values).all()
    assert np.isnan(average_precision(np.eye(3), np.array([0, 0, 0])).values).all()
    assert label_map(np.eye(3), np.array([0, 0, 0]))[0] is None


def test_missing_values_are_the_centre():
    values, labels, is_control = wells()
    gaps = values.copy()
    gaps[::7, 3] = np.nan
    filled = np.where(np.isnan(gaps), 0, gaps)
    assert np.array_equal(
        average_precision(gaps, labels, reference=is_control).values,
        average_precision(filled, labels, reference=is_control).values,
        equal_nan=True,
    )


def test_map_of_labels_is_the_mean_over_their_profiles():
    values = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    mean, each = label_map(values, np.array([0, 0, 1, 1]))
    assert mean == 1
    assert each.tolist() == [1, 1, 1, 1]
