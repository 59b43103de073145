"""Known answers of real screens: LINCS and BBBC013."""

import pytest

from imaging.analyses.replication import percent_replicating
from tests.known_answers import bbbc013, lincs
from tests.parts import require


@pytest.mark.parametrize(
    ("columns", "quantile", "correlation", "share"),
    [
        (("treatment", "concentration"), 0.95, "pearson", 0.4583),
        (("mechanism",), 0.95, "pearson", 0.3074),
        (("treatment", "concentration"), 0.5, "pearson", 0.6814),
        (("treatment", "concentration"), 0.95, "spearman", 0.4657),
        (("treatment", "concentration"), 0.5, "spearman", 0.6789),
    ],
)
def test_lincs_replicates_as_published(columns, quantile, correlation, share):
    require("shared")
    plate = lincs.read_plate()
    labels = lincs.label(plate, *columns)
    found = percent_replicating(plate.values, labels, quantile=quantile, correlation=correlation)
    assert round(found.share, 4) == share
    if (columns, quantile, correlation) == (("treatment", "concentration"), 0.95, "pearson"):
        assert round(found.mean_median, 4) == 0.5407


def test_lincs_compounds_that_kill_are_the_known_ones():
    require("shared")
    _, unmatched = lincs.read_counts()
    counts = lincs.measure_counts(lincs.HitCriteria(permutations=100))
    assert unmatched == 0
    assert lincs.strongest(counts) == lincs.STRONGEST
    assert (int((counts["z"] < -4).sum()), len(counts)) == (lincs.FEWER_CELLS, lincs.DOSES)


def test_bbbc013_has_its_midpoint_and_its_controls():
    plate = bbbc013.read_plate()
    found = bbbc013.judge(plate)
    series = found.doses.iloc[0]
    assert 4 < series["ec50_low"] < series["ec50"] < series["ec50_high"] < 5
    assert found.hits.loc[found.hits["control"] == "poscon", "is_hit"].all()
    assert not bbbc013.negative_controls_as_treatments(plate).hits["is_hit"].any()
