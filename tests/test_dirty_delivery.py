"""The dirty delivery: each of its accidents is found when it can be, and the reconciliation names each."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.query import run_query
from tests import dirty_delivery
from tests.dirty_delivery import Stage, deliver
from tests.parts import require


@pytest.mark.parametrize("source", ["drawn", "real"])
def test_the_reconciliation_says_each_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    if source == "real":
        require("shared")
    else:
        monkeypatch.setattr(dirty_delivery, "find_part", lambda name: None)
    stages: list[Stage] = []
    job = deliver(tmp_path, stages.append)
    before, told, published = (stage.reconciled for stage in stages)
    assert [before.total(name) for name in ("expected", "arrived", "processed", "loaded")] == [24, 15, 10, 0]
    assert "2 x unreadable" in before.reasons
    assert told.total("expected") == 16
    assert any("9987.HTD expects 16 planes: 0 more than the layout and 8 fewer" in note for note in told.notes)
    assert any("it came after 18 of 18 images" in note for note in told.notes)
    assert [published.total(name) for name in ("expected", "arrived", "processed", "loaded")] == [16, 15, 13, 13]
    for reason in ("1 x missing", "2 x unreadable", "1 x superseded", "2 x duplicate"):
        assert reason in published.reasons
    said = {
        (site.well, site.site, site.time_point, " ".join(reason.split(":")[0].split()))
        for site in published.sites
        for reason in site.reasons
    }
    assert said == {
        ("B02", 1, 1, "DAPI missing"),
        ("B02", 2, 1, "DAPI unreadable"),
        ("B02", 1, 2, "FITC unreadable"),
        ("B03", 2, 1, "DAPI superseded"),
        ("B03", 1, 2, "DAPI duplicate"),
        ("B03", 1, 2, "FITC duplicate"),
    }
    assert any("B03 snapshot.tif" in note for note in published.notes)

    (plate,) = run_query(job.store, "SELECT * FROM reconciliation WHERE level = 'plate'").to_pylist()
    assert [plate[name] for name in ("expected", "arrived", "processed", "loaded")] == [16, 15, 13, 13]
    for words in ("1 x missing", "2 x unreadable", "1 x superseded", "2 x duplicate", "B03 snapshot", "9987.HTD"):
        assert words in plate["reasons"]
    rows = run_query(job.store, "SELECT * FROM reconciliation WHERE level = 'site' AND reasons IS NOT NULL").to_pylist()
    assert {(row["well"], row["site"], row["time_point"]) for row in rows} == {place[:3] for place in said}
