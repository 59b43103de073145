"""The tables of one publication: one Parquet file each, under a fresh folder, the same bytes for the same inputs.

Cells come first, well by well (``imaging.publish_cells``). Everything above cells is then made from the manifests at
once, by the same function for a plate that is still being imaged, where nobody reads cells.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from imaging import tables
from imaging.aggregates import Row, SiteRows, aggregate_plate, aggregate_site, aggregate_well, count_states
from imaging.judging import JudgedPlate, judge_plate
from imaging.publication_inputs import PublicationInputs, collect_sites
from imaging.publish_cells import WellKey, open_parquet, write_cells
from imaging.statistics import AssayStatistics, measure_statistics
from imaging.store import Store
from imaging.table_schema import Table, table_of
from imaging.time_points import site_columns
from kernels.feature import FeatureDescription

_PROVENANCE = tuple(column.name for column in tables.RUN_COLUMNS)


def write_tables(
    store: Store, folder: str, inputs: PublicationInputs, written: dict[str, Any] | None = None
) -> dict[str, str]:
    """Write every table of a publication under a fresh folder.

    Parameters
    ----------
    store
        Where to write.
    folder
        Folder that nothing else writes to.
    inputs
        What is published.
    written
        Takes size and checksum of each file, by the table's name.

    Returns
    -------
    Key of each table's Parquet file, by the table's name.

    Raises
    ------
    StoredDataError
        If a site's cells hold columns that no feature description explains.
    """
    keys = {table.name: f"{folder.rstrip('/')}/{table.name}.parquet" for table in tables.PUBLISHED}
    sums: dict[str, Any] = {}
    features = write_cells(store, keys, inputs, sums)
    for name, table in tables_above_cells(inputs, features).items():
        with open_parquet(store, keys[name], table.schema, sums) as writer:
            if table.num_rows:
                writer.write_table(table)
    if written is not None:
        written.update({name: sums[key] for name, key in keys.items()})
    return keys


def tables_above_cells(inputs: PublicationInputs, wells: Mapping[WellKey, Row] | None = None) -> dict[str, pa.Table]:
    """Make every table but ``cells`` in memory, from manifests alone.

    Parameters
    ----------
    inputs
        What is published, or known so far; no part is read.
    wells
        Feature columns of each well at each time point. Without them nothing that rests on cells is there: ``wells``
        has no feature columns, ``features`` and ``statistics`` no rows, and there is no ``image_features``.
    """
    columns = inputs.well_features if wells is not None else ()
    found = {}
    for name, rows in _rows_above_cells(inputs, judge_sites(inputs), wells).items():
        for row in rows:
            row |= inputs.place  # in place: a plate has tens of thousands of images
        found[name] = table_of(tables.TABLES[name], rows, columns)
    return found


def judge_sites(inputs: PublicationInputs) -> JudgedPlate:
    """Rows of every site and image of the plate, judged together, in plate order."""
    channels = [channel.name for channel in inputs.experiment.channels]
    empty = inputs.plate_map.empty_wells if inputs.plate_map else frozenset()
    sites = [aggregate_site(result, channels, is_empty_well=result.well in empty) for result in collect_sites(inputs)]
    return judge_plate(sites, inputs.experiment.rules, inputs.history)


def _rows_above_cells(
    inputs: PublicationInputs, judged: JudgedPlate, features: Mapping[WellKey, Row] | None
) -> dict[str, list[Row]]:
    """Rows of every table but ``cells``, by the table's name; ``features`` are those of each well at each time."""
    has_features = features is not None
    wells = [
        row | (features or {}).get((row["well"], row["time_point"]), {})
        for row in _aggregate_wells(inputs, judged.sites)
    ]
    statistics = _statistics(inputs, wells) if has_features else []
    counts: Counter[str] = Counter()
    for site in judged.sites:
        counts.update(count_states(site))
    findings = [
        *(item.finding for item in inputs.suspicions),
        *inputs.illumination.findings,
        *judged.all_findings,
    ]
    plate = aggregate_plate(counts, wells, findings, is_declared=inputs.is_declared, not_judged=judged.not_judged)
    if statistics:
        plate |= {"z_prime": statistics[0]["z_prime"], "z_prime_feature": statistics[0]["feature"]}
    return {
        "images": [row for site in judged.sites for row in site.images],
        "sites": [site.site for site in judged.sites],
        "wells": wells,
        "well_annotations": _annotation_rows(inputs),
        "plates": [plate],
        "plate_metrics": list(judged.metrics),
        "statistics": statistics,
        "features": [_feature_row(item) for item in inputs.feature_descriptions if has_features],
        "faults": sorted((_pick(tables.FAULTS, item) for item in inputs.faults), key=_by_place),
        "decisions": sorted(
            (_pick(tables.DECISIONS, item | {"decided_by": item.get("by")}) for item in inputs.decisions), key=_by_place
        ),
        "illumination": list(inputs.illumination.rows),
        "suspicions": [item.row for item in inputs.suspicions],
        "site_runs": [_site_run(result.manifest) for result in collect_sites(inputs) if result.manifest],
    }


def _aggregate_wells(inputs: PublicationInputs, sites: Iterable[SiteRows]) -> list[Row]:
    """Rows of the wells without their features, from those of their sites."""
    described = inputs.plate_map.rows if inputs.plate_map else {}

    def place(site: SiteRows) -> WellKey:
        return site.site["well"], site.site["time_point"]

    return [
        aggregate_well(well, list(of_well), described.get(well))
        for (well, _), of_well in itertools.groupby(sites, place)
    ]


def _statistics(inputs: PublicationInputs, wells: Sequence[Row]) -> list[Row]:
    """Rows of ``statistics``: controls are compared within a time point."""
    times = sorted({row["time_point"] for row in wells}) or [1]
    rows = []
    for time_point in times:
        seen = [row for row in wells if row["time_point"] == time_point]
        for feature in inputs.experiment.analysis.statistics:
            found = _columns_of(tables.STATISTICS, _statistics_of(inputs, feature, seen))
            rows.append(found | {"time_point": time_point})
    return rows


def _annotation_rows(inputs: PublicationInputs) -> list[Row]:
    described = inputs.plate_map.annotations if inputs.plate_map else {}
    return [
        {"well": well, "name": name, "value": value}
        for well, annotations in described.items()
        for name, value in annotations.items()
    ]


def _statistics_of(inputs: PublicationInputs, feature: str, wells: Sequence[Row]) -> AssayStatistics:
    if feature not in inputs.well_features:
        return AssayStatistics(feature, None, None, None, 0, 0, "wells has no such column under this recipe")
    values = {control: [row[feature] for row in wells if row["control"] == control] for control in ("negcon", "poscon")}
    return measure_statistics(feature, values["negcon"], values["poscon"])


def _site_run(manifest: Mapping[str, Any]) -> Row:
    provenance = manifest.get("provenance") or {}
    return {
        "well": manifest["well"],
        **site_columns(manifest["site"]),
        **{name: manifest.get(name) for name in ("inputs", "content")},
        **{name: provenance.get(name) for name in _PROVENANCE},
        "part_key": (manifest.get("part") or {}).get("key"),
        "zarr_group": (manifest.get("zarr") or {}).get("group"),
    }


def _feature_row(description: FeatureDescription) -> Row:
    values = description._asdict()
    return {"feature": values.pop("name"), **values, "channel": description.channel or None}


def _columns_of(table: Table, item: object) -> Row:
    """Attributes of an object that the table declares."""
    return {column.name: getattr(item, column.name) for column in table.columns if hasattr(item, column.name)}


def _pick(table: Table, item: Mapping[str, Any]) -> Row:
    """Entries of a record that the table declares; the plate's own columns are added later."""
    names = {column.name for column in table.columns[len(tables.PLACE) :]}
    given = {**item, **site_columns(item.get("site"))}
    return {name: value for name, value in given.items() if name in names}


def _by_place(row: Row) -> tuple[Any, ...]:
    place = row.get("well") or "", row.get("time_point") or 0, row.get("site") or 0, row.get("channel") or ""
    return *place, row["kind"], row.get("name") or "", row.get("plane") or 0
