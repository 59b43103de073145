"""Replication: pairs and groups of replicates, and whether treatments correlate more than chance."""

import numpy as np
import pytest

from imaging.analyses.recipe import HitCriteria
from imaging.analyses.replication import measure_replication, percent_replicating
from tests.known_answers.noise import Screen, draw, normalized

FEW = HitCriteria(permutations=500)


def test_pairs_above_the_quantile_of_the_others_are_counted():
    random = np.random.default_rng(0)
    values, labels = random.normal(size=(30, 12)), np.arange(30) // 3
    values[:6] += 3 * random.normal(size=(2, 12)).repeat(3, axis=0)
    correlation = np.asarray(np.corrcoef(values))
    upper = np.triu(np.ones((30, 30), bool), 1)
    is_same = labels[:, None] == labels
    limit = np.quantile(correlation[upper & ~is_same], 0.9)
    found = percent_replicating(values, labels, quantile=0.9)
    assert found.limit == pytest.approx(limit)
    assert found.share == pytest.approx((correlation[upper & is_same] > limit).mean())
    assert found.pairs == 30
    medians = [np.median(correlation[upper & is_same & (labels == n)[:, None]]) for n in range(10)]
    assert found.medians.tolist() == pytest.approx(medians)
    assert found.share_of_groups == np.mean(np.array(medians) > limit)
    assert found.mean_median == pytest.approx(np.mean(medians))


def test_more_profiles_than_a_block_are_counted_once():
    values, labels = np.random.default_rng(0).normal(size=(1100, 5)), np.arange(1100) // 2
    assert percent_replicating(values, labels).pairs == 550


def test_wells_without_any_value_are_no_replicates():
    raw = normalized(draw(Screen(treatments=5, replicates=3), 0))
    lost = np.flatnonzero(raw.wells["treatment"] == "t002")[:2]
    raw.values[lost] = np.nan
    found = measure_replication(raw, FEW)
    assert found["reason"].tolist() == [
        "only 1 of its 3 wells have a value, a decision needs 2" if i == 2 else "" for i in range(5)
    ]
    assert np.isnan(found[["correlation", "p", "q"]].to_numpy()[2]).all()
    raw.values[np.flatnonzero(raw.wells["treatment"] == "t003")[0]] = np.nan
    pair = raw.take(raw.wells["treatment"].eq("t003").to_numpy() & np.isfinite(raw.values).any(axis=1))
    assert measure_replication(raw, FEW)["correlation"][3] == pytest.approx(np.corrcoef(pair.values)[0, 1])
    labels = raw.wells["treatment"].str[1:].where(raw.wells["control"] == "trt", "-1").astype(int).to_numpy()
    assert percent_replicating(raw.values, labels).pairs == 3 * 3 + 0 + 1


def test_spearman_is_of_ranks():
    values = np.random.default_rng(0).normal(size=(20, 9))
    labels = np.arange(20) // 2
    plain = percent_replicating(values, labels, correlation="spearman")
    assert percent_replicating(np.exp(3 * values), labels, correlation="spearman").share == plain.share


def test_profiles_without_a_label_take_no_part():
    values = np.random.default_rng(0).normal(size=(20, 9))
    labels = np.arange(20) // 2
    labels[10:] = -1
    assert percent_replicating(values, labels).limit == percent_replicating(values[:10], labels[:10]).limit


def test_without_replicates_or_without_others_there_is_no_share():
    for labels in (np.arange(6), np.zeros(6, int)):
        found = percent_replicating(np.random.default_rng(0).normal(size=(6, 4)), labels)
        assert np.isnan(found.share)
        assert np.isnan(found.share_of_groups)


def test_replicates_that_resemble_one_another_are_told_from_chance():
    found = measure_replication(normalized(draw(Screen(treatments=30, active=4, effect=3), 0)), FEW)
    assert (found["q"] <= 0.05).tolist() == [True] * 4 + [False] * 26
    assert found["correlation"][:4].min() > 0.5 > found["correlation"][4:].max()


def test_noise_replicates_as_rarely_as_stated():
    p = np.concatenate([measure_replication(normalized(draw(Screen(), seed)), FEW)["p"] for seed in range(4)])
    assert 0.01 < (p <= 0.05).mean() < 0.1


def test_another_order_of_the_wells_gives_the_same():
    profiles = normalized(draw(Screen(treatments=12, active=2, effect=1), 1))
    order = np.random.default_rng(0).permutation(len(profiles))
    assert (
        measure_replication(profiles.take(order), FEW)["p"].tolist() == measure_replication(profiles, FEW)["p"].tolist()
    )


def test_what_cannot_be_compared_says_why():
    one = measure_replication(draw(Screen(treatments=3, replicates=1), 0), FEW)
    assert set(one["reason"]) == {"1 replicate, a decision needs 2"}
    alone = measure_replication(draw(Screen(treatments=1), 0), FEW)
    assert alone["reason"].tolist() == ["no other treatments on its plates"]
    assert alone["p"].isna().all()


def test_of_many_profiles_some_say_what_pairs_are_like_that_are_none(monkeypatch):
    values, labels = np.random.default_rng(0).normal(size=(600, 8)), np.arange(600) // 3
    whole = percent_replicating(values, labels)
    monkeypatch.setattr("imaging.analyses.replication.MOST_PROFILES", 200)
    some = percent_replicating(values, labels)
    assert some.limit != whole.limit
    assert some.limit == pytest.approx(whole.limit, abs=0.02)
    assert (some.pairs, some.medians.tolist()) == (whole.pairs, whole.medians.tolist())
