"""What a plate's page shows, read from the plate's published tables.

The heat map offers up to ``MOST_METRICS`` metrics: the features of the statistics, the counts, the medians of the
image metrics per channel, then features, of each group one after the other so that no group is left out. All of them
are columns of ``wells``, or medians over ``images``; the rest is for SQL, and the page says so.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain, zip_longest
from typing import Any

import pyarrow as pa

from imaging.atlas import PictureLayout
from imaging.cost_words import money_words, time_words
from imaging.costs import Spending, add_up, spending_of
from imaging.page import (
    PageChannel,
    PageCount,
    PageData,
    PageDecision,
    PageFact,
    PageFault,
    PageImage,
    PageLink,
    PageMetric,
    PageSite,
    PageStatistic,
    PageWell,
)
from imaging.table_schema import Column
from imaging.tables import IMAGE_METRICS, WELLS
from imaging.time_points import join_site
from imaging.wells import parse_well

MOST_METRICS = 200
_UNVARYING = ("TotalArea", "TotalIntensity")
"""Image metrics that tell wells apart no better than others: the same for all, or the mean times that."""

_LONGEST_UNIT = 12
_HEADLINES = (
    "AreaShape_Area",
    "AreaShape_FormFactor",
    "AreaShape_Eccentricity",
    "AreaShape_Solidity",
    "AreaShape_Compactness",
    "AreaShape_MeanRadius",
    "Intensity_MeanIntensity",
    "Intensity_IntegratedIntensity",
    "Intensity_StdIntensity",
    "Correlation_Correlation",
    "Neighbors_NumberOfNeighbors",
    "Neighbors_PercentTouching",
)
"""What is looked at first, in this order: measures that a biologist can name, before those that only models read."""
_BOOKKEEPING = frozenset({"Location", "Parent", "Children", "Number"})
"""Families that say where an object is and whose it is; as a median over a well's cells they tell nothing."""
_OF_IMAGES = [
    "well",
    "site",
    "time_point",
    "channel",
    "name",
    "verdict",
    "reasons",
    *(column.name for column in IMAGE_METRICS),
]
Row = dict[str, Any]


def page_from_tables(
    tables: Mapping[str, pa.Table],
    *,
    shape: tuple[int, int],
    channels: Sequence[tuple[str, str]],
    pictures: PictureLayout | None = None,
    links: Iterable[tuple[str, str]] = (),
    has_image_values: bool = True,
) -> PageData:
    """Make the page of a plate from the tables of its publication.

    Parameters
    ----------
    tables
        The tables ``images``, ``sites``, ``wells``, ``plates``, ``statistics``, ``features``, ``faults`` and
        ``decisions`` of one plate, by name, and ``site_runs`` if the page is to say what they cost; ``wells`` may lack
        feature columns.
    shape
        Rows and columns of the plate.
    channels
        Name and colour (``#rrggbb``) of each channel, in the order of the pictures.
    pictures
        Where the pictures lie, if there are any.
    links
        Label and address of each link in the page's head.
    has_image_values
        Whether the page holds the metrics of each image, megabytes of a large plate, beside their medians.
    """
    plate = tables["plates"].to_pylist()[0]
    images = tables["images"].select(_OF_IMAGES).to_pylist()
    times = _times(tables["sites"])
    chosen, n_left_out = _choose_metrics(tables, [name for name, _ in channels], MOST_METRICS // len(times))
    metrics = tuple(at_time(metric, time) for time in times for metric in chosen)
    return PageData(
        **{name: plate[name] for name in ("experiment", "plate", "recipe", "run", "status", "verdict")},
        rows=shape[0],
        columns=shape[1],
        reasons=tuple(plate["reasons"] or ()),
        not_judged=tuple(plate.get("not_judged") or ()),
        counts=_counts(plate, len(tables["wells"].column("well").unique())),
        costs=describe_costs(add_up(spending_of(row) for row in tables["site_runs"].to_pylist()))
        if "site_runs" in tables
        else (),
        channels=tuple(PageChannel(name, color) for name, color in channels),
        metrics=metrics,
        wells=_wells(tables, images, chosen, IMAGE_METRICS if has_image_values else ()),
        statistics=tuple(
            PageStatistic(**_pick(PageStatistic, row | {"feature": _with_time(row["feature"], _time_of(row))}))
            for row in tables["statistics"].to_pylist()
        ),
        faults=tuple(PageFault(**_pick(PageFault, _labelled(row))) for row in tables["faults"].to_pylist()),
        decisions=tuple(
            PageDecision(**_pick(PageDecision, _labelled(row) | {"by": row["decided_by"]}))
            for row in tables["decisions"].to_pylist()
        ),
        links=tuple(PageLink(label, url) for label, url in links),
        note=_note(len(chosen), n_left_out),
        pictures=pictures,
    )


def describe_costs(spent: Spending, *, open_sites: int = 0) -> tuple[PageFact, ...]:
    """Machine time and cost for the page's head; while sites are open, what the whole plate will about cost."""
    if not spent.sites:
        return ()
    time = PageFact("Machine time", time_words(spent.machine_seconds))
    if not spent.has_price:
        return (time,)
    whole = spent.estimate(open_sites)
    more = f"of about {money_words(whole)}" if open_sites and whole is not None else ""
    return time, PageFact("Cost", money_words(spent.cost), more)


def _note(n_shown: int, n_left_out: int) -> str:
    if not n_left_out:
        return "Every number of this page is in the tables images, sites, wells, statistics, faults and decisions."
    return (
        f"This page shows {n_shown} of {n_shown + n_left_out:,} metrics. The other {n_left_out:,} are feature columns "
        "of the table wells, described in the table features: query them in SQL."
    )


def _counts(plate: Row, n_wells: int) -> tuple[PageCount, ...]:
    shown = [
        PageCount("Wells", n_wells),
        PageCount("Sites", plate["sites_done"], plate["sites_expected"]),
        PageCount("Images", plate["images_arrived"], plate["images_expected"]),
    ]
    named = (
        ("Faulted", "images_faulted"),
        ("Missing", "images_missing"),
        ("Failed sites", "sites_failed"),
    )
    shown += [PageCount(label, plate[name]) for label, name in named if plate[name]]
    counted = (("Nuclei", "nuclei_count"), ("Cells", "cells_count"))
    return (*shown, *(PageCount(label, plate[name]) for label, name in counted if plate[name] is not None))


def _times(sites: pa.Table) -> list[int]:
    """Time points of the plate in order."""
    return sorted(time or 1 for time in sites.column("time_point").unique().to_pylist()) or [1]


def _time_of(row: Mapping[str, Any]) -> int:
    return row.get("time_point") or 1


def _number_of(row: Mapping[str, Any]) -> int:
    return join_site(row["site"], _time_of(row))


def _labelled(row: Row) -> Row:
    """A row whose site is what people read: with the time point where it is not the first."""
    return row | {"site": f"{row['site']}, time point {_time_of(row)}"} if _time_of(row) > 1 else row


def _with_time(text: str, time_point: int) -> str:
    return text if time_point == 1 else f"{text} (time point {time_point})"


def at_time(metric: PageMetric, time_point: int) -> PageMetric:
    """The same metric at a later time point: a metric of its own."""
    if time_point == 1:
        return metric
    label, group = _with_time(metric.label, time_point), f"Time point {time_point}: {metric.group}"
    return PageMetric(_value_name(metric.name, time_point), label, metric.unit, metric.description, group)


def _value_name(name: str, time_point: int) -> str:
    return name if time_point == 1 else f"{name}@{time_point}"


def _choose_metrics(
    tables: Mapping[str, pa.Table], channels: Sequence[str], most: int
) -> tuple[tuple[PageMetric, ...], int]:
    """Metrics of the page at one time point, in the order they are offered, and how many features are left out."""
    columns = set(tables["wells"].column_names)
    features = [row for row in tables["features"].to_pylist() if row["feature"] in columns]
    known = {row["feature"]: _feature_metric(row) for row in features} | {row.name: row for row in _count_metrics()}
    asked = [row["feature"] for row in tables["statistics"].to_pylist()]
    first = [known[name] for name in dict.fromkeys(asked) if name in known and name in columns]
    assay = [PageMetric(item.name, item.label, item.unit, item.description, "Assay") for item in first]
    fixed = [*assay, *(item for item in _count_metrics() if item.name not in asked), *_image_metrics(channels)]
    others = [row for row in features if row["feature"] not in asked]
    chosen = {row["feature"] for row in _by_interest(others)[: max(0, most - len(fixed))]}
    shown = [known[row["feature"]] for row in others if row["feature"] in chosen]
    return (*fixed, *shown), len(others) - len(shown)


def _by_interest(features: Iterable[Row]) -> list[Row]:
    """Features in the order in which they are worth a place on the page: headlines, a few of each group, the rest."""
    ranked: dict[int, list[Row]] = defaultdict(list)
    for row in features:
        ranked[_rank(row)].append(row)
    last = ranked.pop(len(_HEADLINES) + 1, [])
    others = ranked.pop(len(_HEADLINES), [])
    headlines = [row for rank in sorted(ranked) for row in ranked[rank]]
    return [*headlines, *_of_each_group(others), *last]


def _rank(row: Row) -> int:
    """Place of a feature's measure among the headlines; behind them the others, bookkeeping last."""
    if row["family"] in _BOOKKEEPING:
        return len(_HEADLINES) + 1
    own = row["feature"].removeprefix(f"{row['objects']}_")
    return next(
        (rank for rank, name in enumerate(_HEADLINES) if own == name or own.startswith(f"{name}_")), len(_HEADLINES)
    )


def _of_each_group(features: Iterable[Row]) -> list[Row]:
    """Features ordered so that any beginning holds about as many of each group as of the others."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in features:
        groups[row["objects"], row["family"], row["channel"] or ""].append(row)
    return [row for row in chain.from_iterable(zip_longest(*groups.values())) if row is not None]


def _count_metrics() -> list[PageMetric]:
    described = {column.name: column for column in WELLS.columns}
    return [
        PageMetric(name, label, "", described[name].description, "Counts")
        for name, label in (("cells_count", "Cells count"), ("nuclei_count", "Nuclei count"))
    ]


def _image_metrics(channels: Sequence[str]) -> list[PageMetric]:
    return [
        _metric(
            f"ImageQuality_{column.name}_{channel}",
            f"{column.name} {channel}",
            column.unit,
            f"{column.description.removesuffix('.')}; median over the well's images",
            f"Image quality {channel}",
        )
        for channel in channels
        for column in IMAGE_METRICS
        if column.name not in _UNVARYING
    ]


def _feature_metric(row: Row) -> PageMetric:
    name, objects, family = row["feature"], row["objects"] or "", row["family"] or ""
    own = name.removeprefix(f"{objects}_").removeprefix(f"{family}_").replace("_", " ")
    group = f"{objects} {family}".strip() or "Features"
    return _metric(name, f"{objects} {own}".strip(), row["unit"] or "", row["definition"] or "", group)


def _metric(name: str, label: str, unit: str, description: str, group: str) -> PageMetric:
    """A metric; a unit too long to stand behind the label ends the description, the unit 1 is left away."""
    if unit == "1":
        unit = ""
    if len(unit) <= _LONGEST_UNIT:
        return PageMetric(name, label, unit, description, group)
    return PageMetric(name, label, "", f"{description} ({unit})", group)


def _wells(
    tables: Mapping[str, pa.Table], images: Sequence[Row], metrics: Sequence[PageMetric], of_images: Sequence[Column]
) -> tuple[PageWell, ...]:
    sites: dict[str, list[PageSite]] = defaultdict(list)
    images_of = _images_by_site(images, of_images)
    for row in tables["sites"].to_pylist():
        sites[row["well"]].append(_site(row, images_of[row["well"], _number_of(row)]))
    medians = _image_medians(images)
    wells = tables["wells"]
    shown = [column.name for column in WELLS.columns]
    values = [metric.name for metric in metrics if metric.name in set(wells.column_names)]
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for row in wells.select(list(dict.fromkeys([*shown, *values]))).to_pylist():
        rows_of[row["well"]].append(row)
    return tuple(
        _well(sorted(rows_of[well], key=_time_of), values, medians[well], sites[well])
        for well in sorted(rows_of, key=parse_well)
    )


def _well(rows: Sequence[Row], values: Sequence[str], medians: Mapping[str, float], sites: list[PageSite]) -> PageWell:
    """A well from its rows, one for each time point; its verdict is the worst of theirs."""
    first, verdicts = rows[0], [row["verdict"] for row in rows]
    return PageWell(
        well=first["well"],
        treatment=first["treatment"],
        concentration=first["concentration"],
        unit=first["concentration_unit"],
        control=first["control"],
        state=_well_state(sites),
        verdict=next((verdict for verdict in ("fail", "warn", None) if verdict in verdicts), "pass"),
        reasons=tuple(dict.fromkeys(reason for row in rows for reason in row["reasons"] or ())),
        values={_value_name(name, _time_of(row)): row[name] for row in rows for name in values} | dict(medians),
        sites=tuple(sorted(sites, key=lambda site: site.site)),
    )


def _well_state(sites: Iterable[PageSite]) -> str:
    """Done once any site is; otherwise failed before waiting before missing."""
    states = {site.state for site in sites}
    return next((state for state in ("done", "failed", "waiting") if state in states), "missing")


def _site(row: Row, images: Sequence[PageImage]) -> PageSite:
    counted = (("Nuclei", "nuclei_count"), ("Cells", "cells_count"))
    return PageSite(
        site=_number_of(row),
        label=str(_labelled(row)["site"]) if _time_of(row) > 1 else "",
        state=row["state"],
        verdict=row["verdict"],
        reasons=tuple(row["reasons"] or ()),
        missing=tuple(row["channels_missing"] or ()),
        counts={label: row[name] for label, name in counted if row[name] is not None},
        images=tuple(images),
    )


def _images_by_site(images: Iterable[Row], shown: Sequence[Column]) -> dict[tuple[str, int], list[PageImage]]:
    found: dict[tuple[str, int], list[PageImage]] = defaultdict(list)
    for row in images:
        if row["name"] is not None:
            metrics = {column.name: row[column.name] for column in shown}
            image = PageImage(row["channel"], row["name"], metrics, row["verdict"], tuple(row["reasons"] or ()))
            found[row["well"], _number_of(row)].append(image)
    return found


def _image_medians(images: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Median over the images of each well, time point, channel and image metric: well -> metric -> value."""
    of_wells: dict[str, dict[tuple[str, int], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in images:
        of_wells[row["well"]][row["channel"], _time_of(row)].append(row)
    names: dict[tuple[str, str, int], str] = {}  # each name once, not once per well: a large plate has 340,000 values
    medians: dict[str, dict[str, float]] = defaultdict(dict)
    for well, of_channels in of_wells.items():
        for (channel, time), rows in of_channels.items():
            for metric in (column.name for column in IMAGE_METRICS):
                shown = _value_name(f"ImageQuality_{metric}_{channel}", time)
                name = names.setdefault((metric, channel, time), shown)
                if values := [row[metric] for row in rows if row[metric] is not None]:
                    medians[well][name] = statistics.median(values)
    return medians


def _pick(kind: type, row: Row) -> Row:
    """Columns of a row that a part of the page shows."""
    return {item.name: row[item.name] for item in fields(kind)}
