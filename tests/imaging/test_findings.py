"""What was found wrong with a plate, each finding once and the worst first."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from imaging.findings import list_findings
from imaging.publish_tables import tables_above_cells
from tests.imaging import small_screen


def found(**changes: Any) -> list[tuple[Any, ...]]:
    rows = list_findings(tables_above_cells(small_screen.inputs(**changes)))
    return [tuple(row[name] for name in ("verdict", "level", "well", "site", "channel", "reason")) for row in rows]


def manifest(well: str, site: int, saturated: float = 0.25, **changes: Any) -> dict[str, Any]:
    item = small_screen.manifest(well, site, **changes)
    item["image_metrics"][0]["PercentSaturated"] = saturated
    return item


def test_a_plate_without_findings_has_none() -> None:
    assert found() == []


def test_findings_are_listed_where_they_were_seen_fails_first_and_in_plate_order() -> None:
    others = tuple(small_screen.manifests()[4:-1])
    manifests = (manifest("A02", 2, 2.5), manifest("A01", 1, nuclei=0), manifest("A01", 2, 9.0), manifest("A02", 1))
    failed = ({"well": "B03", "site": 2, "reason": "out of memory"},)
    assert found(manifests=(*manifests, *others), failed=failed) == [
        ("fail", "image", "A01", 2, "DNA", "DNA in A01 site 2: 9 % of pixels are saturated (limit 5 %)"),
        ("fail", "site", "B03", 2, None, "B03 site 2: the site could not be processed: out of memory"),
        ("warn", "site", "A01", 1, None, "A01 site 1: no nuclei were found"),
        ("warn", "image", "A02", 2, "DNA", "DNA in A02 site 2: 2.5 % of pixels are saturated (limit 1 %)"),
    ]


def test_at_one_site_images_come_first() -> None:
    item = manifest("A01", 1, 9.0, nuclei=0)
    levels = [row[1] for row in found(manifests=(item, *small_screen.manifests()[1:]))]
    assert levels == ["image", "site"]


def test_a_site_without_images_is_one_finding() -> None:
    assert found(manifests=tuple(small_screen.manifests()[1:]), missing_sites=(("A01", 1),)) == [
        ("fail", "site", "A01", 1, None, "A01 site 1: no image of the site came")
    ]


def test_what_only_a_well_says_is_a_finding_of_the_well() -> None:
    tables = tables_above_cells(small_screen.inputs())
    wells = tables["wells"].to_pylist()
    wells[2] |= {"verdict": "warn", "reasons": ["A03: few cells", "A03: dim"]}
    judged = tables | {"wells": pa.Table.from_pylist(wells, schema=tables["wells"].schema)}
    assert [(row["level"], row["well"], row["site"], row["reason"]) for row in list_findings(judged)] == [
        ("well", "A03", None, "A03: few cells; A03: dim")
    ]
