"""The tables of one publication: one Parquet file each, under a fresh folder, the same bytes for the same inputs.

Wells are gone through one by one in plate order: their cells are read, written and let go but for their medians, so
memory holds one row group of cells. Everything above cells is then made from the manifests at once, by the same
function for a plate that is still being imaged, where nobody reads cells.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging import tables
from imaging.aggregates import (
    Row,
    SiteResult,
    SiteRows,
    aggregate_plate,
    aggregate_site,
    aggregate_well,
    count_states,
    median_of_cells,
    sort_sites,
)
from imaging.errors import StoredDataError
from imaging.experiment import Experiment
from imaging.illumination_rows import PlateIllumination
from imaging.judging import JudgedPlate, judge_plate
from imaging.platemaps import PlateMap
from imaging.statistics import AssayStatistics, measure_statistics
from imaging.store import Store
from imaging.typical import History

ROW_GROUP_BYTES = 32_000_000
"""A row group of cells ends with the well that fills it to this size in memory. One group per well would make 460,000
column chunks of a plate with 1,500 features: a gigabyte of memory to write, and 28 times slower to read."""

_PROVENANCE = ("started_at", "seconds", "cpu_seconds", "host", "software", "device")


@dataclass(frozen=True)
class PublicationInputs:
    """All that goes into the tables of one publication.

    Parameters
    ----------
    experiment
        What the plate should be.
    plate, recipe, run
        Names that every row carries; ``run`` is the hash of what is published.
    manifests
        Manifests of the measured sites.
    failed
        Sites given up: well, site, reason.
    missing_sites
        Well and site of sites without any image.
    waiting
        Sites that are still waited for, with their channels that have arrived; none in a publication.
    faults
        Files that do not count: kind, name, reason, and well, site, channel as far as known. The kind ``unreadable``
        makes a missing image a faulted one.
    decisions
        Decisions that count: kind, well, site, channel, by, reason.
    plate_map
        What is in the wells, if it is known.
    is_declared
        Whether the experiment's declaration names the plate.
    read_part
        Reads the cells of a manifest's site: one row per cell, ``ObjectNumber`` and feature columns.
    feature_descriptions
        The feature columns, in order: name, family, objects, channel, unit, definition.
    history
        What earlier plates gave; left out, the plate is not compared with them.
    illumination
        The plate's own fields of illumination.
    """

    experiment: Experiment
    plate: str
    recipe: str
    run: str
    manifests: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    missing_sites: tuple[tuple[str, int], ...]
    waiting: Mapping[tuple[str, int], frozenset[str]]
    faults: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]
    plate_map: PlateMap | None
    is_declared: bool
    read_part: Callable[[dict[str, Any]], pa.Table]
    feature_descriptions: Sequence[Sequence[str | None]]
    history: History | None = None
    illumination: PlateIllumination = field(default_factory=PlateIllumination)

    @property
    def place(self) -> dict[str, str]:
        """Columns that every row carries."""
        return {"experiment": self.experiment.name, "plate": self.plate, "recipe": self.recipe, "run": self.run}

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns."""
        return tuple(_feature_row(description)["feature"] for description in self.feature_descriptions)


@dataclass
class _WellWriter:
    """Writes the cells of whole wells as row groups of about ``ROW_GROUP_BYTES``."""

    writer: pq.ParquetWriter
    waiting: list[pa.Table] = field(default_factory=list)

    def add(self, cells: pa.Table) -> None:
        """Take the cells of a well."""
        self.waiting.append(cells)
        if sum(table.nbytes for table in self.waiting) >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        group = pa.concat_tables(self.waiting) if self.waiting else None
        if group is not None and group.num_rows:
            self.writer.write_table(group, row_group_size=group.num_rows)
        self.waiting.clear()


def write_tables(store: Store, folder: str, inputs: PublicationInputs) -> dict[str, str]:
    """Write every table of a publication under a fresh folder.

    Parameters
    ----------
    store
        Where to write.
    folder
        Folder that nothing else writes to.
    inputs
        What is published.

    Returns
    -------
    Key of each table's Parquet file, by the table's name.

    Raises
    ------
    StoredDataError
        If a site's cells hold columns that no feature description explains.
    """
    keys = {table.name: f"{folder.rstrip('/')}/{table.name}.parquet" for table in tables.PUBLISHED}
    medians: dict[str, Row] = {}
    with _open_parquet(store, keys["cells"], tables.arrow_schema(tables.CELLS, inputs.features)) as writer:
        cells = _WellWriter(writer)
        for well, results in _by_well(inputs):
            table = _cells_of_well(inputs, results)
            cells.add(table)
            medians[well] = _medians(table, inputs.features)
        cells.flush()
    for name, table in tables_above_cells(inputs, medians).items():
        with _open_parquet(store, keys[name], table.schema) as writer:
            if table.num_rows:
                writer.write_table(table)
    return keys


def tables_above_cells(inputs: PublicationInputs, medians: Mapping[str, Row] | None = None) -> dict[str, pa.Table]:
    """Make every table but ``cells`` in memory, from manifests alone.

    Parameters
    ----------
    inputs
        What is published, or known so far; no part is read.
    medians
        Feature columns of each well. Without them nothing that rests on cells is there: ``wells`` has no feature
        columns, ``features`` and ``statistics`` no rows.
    """
    features = inputs.features if medians is not None else ()
    found = {}
    for name, rows in _rows_above_cells(inputs, judge_sites(inputs), medians).items():
        for row in rows:
            row |= inputs.place  # in place: a plate has tens of thousands of images
        found[name] = tables.table_of(tables.TABLES[name], rows, features)
    return found


def _by_well(inputs: PublicationInputs) -> Iterator[tuple[str, list[SiteResult]]]:
    """Wells in plate order with how their sites ended."""
    for well, results in itertools.groupby(collect_sites(inputs), key=lambda result: result.well):
        yield well, list(results)


def collect_sites(inputs: PublicationInputs) -> list[SiteResult]:
    """How each site of the plate ended, in plate order; expected sites that nothing is known of are missing."""
    manifests = {(item["well"], item["site"]): item for item in inputs.manifests}
    failed = {(item["well"], item["site"]): item for item in inputs.failed}
    expected = {*inputs.experiment.expected_sites(), *manifests, *failed, *inputs.missing_sites}
    faulted = _channels_by_site(item for item in inputs.faults if item["kind"] == "unreadable")
    missing = _channels_by_site(item for item in inputs.decisions if item["kind"] == "missing")
    states = {"done": manifests, "failed": failed, "waiting": inputs.waiting}
    return sort_sites(
        SiteResult(
            well=place[0],
            site=place[1],
            state=next((state for state, places in states.items() if place in places), "missing"),
            manifest=manifests.get(place),
            reason=failed.get(place, {}).get("reason", ""),
            arrived=inputs.waiting.get(place, frozenset()),
            missing=missing.get(place, frozenset()),
            faulted=faulted.get(place, frozenset()),
        )
        for place in expected
    )


def _channels_by_site(items: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], frozenset[str]]:
    found: dict[tuple[str, int], frozenset[str]] = {}
    for item in items:
        place = item["well"], item["site"]
        found[place] = found.get(place, frozenset()) | {item["channel"]}
    return found


def judge_sites(inputs: PublicationInputs) -> JudgedPlate:
    """Rows of every site and image of the plate, judged together, in plate order."""
    channels = [channel.name for channel in inputs.experiment.channels]
    empty = inputs.plate_map.empty_wells if inputs.plate_map else frozenset()
    sites = [aggregate_site(result, channels, is_empty_well=result.well in empty) for result in collect_sites(inputs)]
    return judge_plate(sites, inputs.experiment.rules, inputs.history)


def _cells_of_well(inputs: PublicationInputs, results: Sequence[SiteResult]) -> pa.Table:
    """Cells of a well's measured sites, every declared column there; one that was not measured is NULL."""
    schema = tables.arrow_schema(tables.CELLS, inputs.features)
    measured = [result.manifest for result in results if result.manifest and result.manifest.get("part")]
    found = [_cells_of_site(inputs, dict(manifest), schema) for manifest in measured]
    return pa.concat_tables(found).combine_chunks() if found else schema.empty_table()


def _cells_of_site(inputs: PublicationInputs, manifest: dict[str, Any], schema: pa.Schema) -> pa.Table:
    part = inputs.read_part(manifest)
    given = inputs.place | {"well": manifest["well"], "site": manifest["site"]}
    unknown = sorted(set(part.column_names) - set(schema.names) | set(part.column_names) & set(given))
    if unknown:
        raise StoredDataError(
            f"the site's cells hold columns that the recipe does not describe: {', '.join(unknown)}",
            experiment=inputs.experiment.name,
            plate=inputs.plate,
            well=manifest["well"],
            site=manifest["site"],
        )
    measured = set(part.column_names)
    columns = [
        tables.column_of(part[name] if name in measured else [given.get(name)] * part.num_rows, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _medians(cells: pa.Table, features: Sequence[str]) -> dict[str, float | None]:
    if not features:
        return {}
    values = np.stack([cells[name].to_numpy() for name in features])
    medians = tables.column_of(median_of_cells(values), pa.float64())
    return dict(zip(features, medians.to_pylist(), strict=True))


def _rows_above_cells(
    inputs: PublicationInputs, judged: JudgedPlate, medians: Mapping[str, Row] | None
) -> dict[str, list[Row]]:
    """Rows of every table but ``cells``, by the table's name; ``medians`` are the features of each well."""
    has_features = medians is not None
    wells = [row | (medians or {}).get(row["well"], {}) for row in _aggregate_wells(inputs, judged.sites)]
    asked = inputs.experiment.analysis.statistics if has_features else ()
    statistics = [_statistics_of(inputs, feature, wells) for feature in asked]
    counts: Counter[str] = Counter()
    for site in judged.sites:
        counts.update(count_states(site))
    findings = [*inputs.illumination.findings, *judged.all_findings]
    plate = aggregate_plate(counts, wells, findings, is_declared=inputs.is_declared, not_judged=judged.not_judged)
    if statistics:
        plate |= {"z_prime": statistics[0].z_prime, "z_prime_feature": statistics[0].feature}
    return {
        "images": [row for site in judged.sites for row in site.images],
        "sites": [site.site for site in judged.sites],
        "wells": wells,
        "plates": [plate],
        "plate_metrics": list(judged.metrics),
        "statistics": [_columns_of(tables.STATISTICS, item) for item in statistics],
        "features": [_feature_row(item) for item in inputs.feature_descriptions if has_features],
        "faults": sorted((_pick(tables.FAULTS, item) for item in inputs.faults), key=_by_place),
        "decisions": sorted(
            (_pick(tables.DECISIONS, item | {"decided_by": item.get("by")}) for item in inputs.decisions), key=_by_place
        ),
        "illumination": list(inputs.illumination.rows),
        "site_runs": [_site_run(result.manifest) for result in collect_sites(inputs) if result.manifest],
    }


def _aggregate_wells(inputs: PublicationInputs, sites: Iterable[SiteRows]) -> list[Row]:
    """Rows of the wells without their features, from those of their sites."""
    described = inputs.plate_map.rows if inputs.plate_map else {}
    return [
        aggregate_well(well, list(of_well), described.get(well))
        for well, of_well in itertools.groupby(sites, key=lambda site: site.site["well"])
    ]


def _statistics_of(inputs: PublicationInputs, feature: str, wells: Sequence[Row]) -> AssayStatistics:
    if feature not in inputs.features:
        return AssayStatistics(feature, None, None, None, 0, 0, "wells has no such column under this recipe")
    values = {control: [row[feature] for row in wells if row["control"] == control] for control in ("negcon", "poscon")}
    return measure_statistics(feature, values["negcon"], values["poscon"])


def _site_run(manifest: Mapping[str, Any]) -> Row:
    provenance = manifest.get("provenance") or {}
    return {
        **{name: manifest.get(name) for name in ("well", "site", "inputs", "content")},
        **{name: provenance.get(name) for name in _PROVENANCE},
        "part_key": (manifest.get("part") or {}).get("key"),
        "zarr_group": (manifest.get("zarr") or {}).get("group"),
    }


def _feature_row(description: Sequence[str | None]) -> Row:
    name, family, objects, channel, unit, definition = description
    return {
        "feature": name,
        "family": family,
        "objects": objects,
        "channel": channel or None,
        "unit": unit,
        "definition": definition,
    }


def _columns_of(table: tables.Table, item: object) -> Row:
    """Attributes of an object that the table declares."""
    return {column.name: getattr(item, column.name) for column in table.columns if hasattr(item, column.name)}


def _pick(table: tables.Table, item: Mapping[str, Any]) -> Row:
    """Entries of a record that the table declares; the plate's own columns are added later."""
    names = {column.name for column in table.columns[len(tables.PLACE) :]}
    return {name: value for name, value in item.items() if name in names}


def _by_place(row: Row) -> tuple[str, int, str, str, str]:
    return row.get("well") or "", row.get("site") or 0, row.get("channel") or "", row["kind"], row.get("name") or ""


@contextmanager
def _open_parquet(store: Store, key: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file at a fresh key: straight to disk in a folder, through memory (compressed) elsewhere."""
    path = store.local_path(key)
    sink = pa.BufferOutputStream()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path or sink, schema, compression="zstd", use_dictionary=False) as writer:
        yield writer
    if path is None:
        store.write(key, sink.getvalue().to_pybytes())
