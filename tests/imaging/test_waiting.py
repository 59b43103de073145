"""Tables of a plate that is still being imaged: made without cells, and with sites that are waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from imaging.aggregates import SiteResult, SiteRows, aggregate_plate, aggregate_site, aggregate_well, count_states
from imaging.judging import judge_plate
from imaging.publish_tables import tables_above_cells, write_tables
from imaging.tables import PUBLISHED
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, CHANNELS, RATIO
from tests.imaging.test_publish_tables import read

UNREADABLE = {"kind": "unreadable", "name": "x.tif", "reason": "cut", "well": "A02", "site": 1, "channel": "RNA"}


def refuse(manifest: dict[str, Any]) -> pa.Table:
    raise AssertionError("no part may be read")


def imaging() -> dict[str, pa.Table]:
    """A01 is measured, of A02 one image came and one cannot be read, of the rest nothing came."""
    waiting = {(well, site): frozenset[str]() for well in small_screen.WELLS[1:] for site in (1, 2)}
    waiting["A02", 1] = frozenset({"DNA"})
    given = small_screen.inputs(
        manifests=tuple(small_screen.manifests()[:2]), waiting=waiting, faults=(UNREADABLE,), read_part=refuse
    )
    return tables_above_cells(given)


def judged(result: SiteResult, channels: Sequence[str]) -> SiteRows:
    (rows,) = judge_plate([aggregate_site(result, channels)], small_screen.experiment().rules).sites
    return rows


def test_tables_in_memory_are_those_that_a_publication_writes(folder_store) -> None:
    given = small_screen.inputs()
    keys = write_tables(folder_store, "published", given)
    wells = read(folder_store, keys["wells"])
    medians = {(row["well"], 1): {name: row[name] for name in (AREA, RATIO)} for row in wells.to_pylist()}
    found = tables_above_cells(given, medians)
    of_parts = {"cells", "image_features"}
    assert found.keys() == keys.keys() - of_parts == {table.name for table in PUBLISHED} - of_parts
    for name, table in found.items():
        assert table.equals(read(folder_store, keys[name])), name


def test_without_cells_there_are_no_features_and_statistics() -> None:
    found = tables_above_cells(small_screen.inputs(read_part=refuse))
    assert (found["statistics"].num_rows, found["features"].num_rows) == (0, 0)
    assert not {AREA, RATIO} & set(found["wells"].column_names)
    assert found["plates"].to_pylist()[0]["z_prime"] is None
    assert found["wells"].column("nuclei_count").to_pylist() == [6] * 6


def test_what_is_waited_for_has_no_verdict_and_counts_as_expected() -> None:
    found = imaging()
    wells = {row["well"]: row for row in found["wells"].to_pylist()}
    assert [(wells[name]["verdict"], wells[name]["sites_done"]) for name in ("A01", "A02", "A03")] == [
        ("pass", 2),
        ("warn", 0),
        (None, 0),
    ]
    assert wells["A02"]["reasons"] == ["RNA in A02 site 1: the image cannot be read"]
    assert (wells["A03"]["reasons"], wells["A03"]["treatment"]) == ([], "compound A03")
    plate = found["plates"].to_pylist()[0]
    counts = ("sites_expected", "sites_done", "sites_missing", "images_expected", "images_arrived", "images_faulted")
    assert [plate[name] for name in counts] == [12, 2, 0, 24, 5, 1]
    assert (plate["images_missing"], plate["verdict"], plate["status"]) == (0, "warn", "with-missing")


def test_images_of_a_site_that_is_waited_for_say_how_far_they_are() -> None:
    decided = frozenset({"C"})
    result = SiteResult("A01", 1, "waiting", None, "", decided, frozenset({"B"}), frozenset({"A"}))
    rows = judged(result, ["A", "B", "C", "D"])
    assert [(row["state"], row["verdict"]) for row in rows.images] == [
        ("arrived", None),
        ("faulted", "warn"),
        ("missing", "warn"),
        ("waiting", None),
    ]
    assert (rows.site["state"], rows.site["verdict"]) == ("waiting", "warn")
    assert rows.site["channels_missing"] == ["B", "C"]
    assert (rows.site["nuclei_count"], rows.site["cells_count"]) == (None, None)


def test_a_well_and_a_plate_of_which_nothing_is_known_have_no_verdict() -> None:
    rows = judged(SiteResult("A01", 1, "waiting"), CHANNELS)
    well = aggregate_well("A01", [rows, rows], None)
    assert (well["verdict"], well["reasons"], well["sites_expected"], well["sites_done"]) == (None, [], 2, 0)
    plate = aggregate_plate(count_states(rows), [well], (), is_declared=True)
    assert (plate["verdict"], plate["reasons"], plate["sites_expected"]) == (None, [], 1)


@pytest.mark.parametrize("state", ["done", "failed", "missing"])
def test_a_plate_with_a_site_that_ended_has_a_verdict(state: str) -> None:
    counts = {"sites_expected": 2, "sites_waiting": 1, f"sites_{state}": 1}
    assert aggregate_plate(counts, [], (), is_declared=True)["verdict"] == "pass"
