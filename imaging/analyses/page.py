"""The page of an experiment: files that open by a double click, as a plate's page does, and link to those.

    results/<experiment>/_experiment/<name>/page/
      index.html  page.css  page.js      the same for every experiment; parts of them are those of a plate's page
      data.js                            the report: ``window.EXPERIMENT = {...}``
      hit-<hash>.webp ...                pictures of hits and of negative controls (``imaging.analyses.gallery``)

A projection: it is made again from an analysis at any time. It is bounded however large the experiment is: hits come
first, what is left out is counted, and the page says in which table it is. Texts reach the page as text alone, as in
``imaging.page``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pandas as pd

from imaging.analyses.gallery import HitGallery
from imaging.analyses.report import ExperimentReport, plain, rank_hits
from imaging.page import DATA, OLD_PICTURE_S, delete_pictures
from imaging.page_parts import (
    CURRENT,
    LINKS,
    STYLE,
    assign_script,
    encode_links,
    experiment_page_folder,
    join_scripts,
    page_source,
)
from imaging.store import Store

SHARED = ("base.js", "colours.js", "verdicts.js", "lists.js")
"""Parts of a plate's page that this one uses."""
SCRIPTS = (
    "tables.js",
    "doses.js",
    "treatments.js",
    "treatment.js",
    "gallery.js",
    "map.js",
    "controls.js",
    "batches.js",
)
LAST = "experiment.js"
MOST = {"hits": 5000, "doses": 20_000, "charts": 8000, "failures": 1000, "points": 12_000, "plates": 2000}
"""Rows of a table that the page shows at most."""
MOST_FEATURES = 200
"""Features whose shares of variance are shown; the mean is over all."""
_IN_SQL = {
    "hits": "hits",
    "failures": "process_failures",
    "points": "profiles",
    "plates": "analyses",
    "doses": "dose_points",
    "charts": "controls",
}
_DIGITS = {"x": 4, "y": 4}


def plate_page_link(plate: str, recipe: str) -> str:
    """Address of a plate's page as it stands on the experiment's page."""
    return f"../../../{quote(plate)}/{quote(recipe)}/page/index.html"


def write_report(
    store: Store,
    report: ExperimentReport,
    gallery: HitGallery | None = None,
    *,
    name: str = CURRENT,
    now: float | None = None,
) -> str:
    """Write the page of an experiment.

    Parameters
    ----------
    store
        Where to write.
    report
        What it shows.
    gallery
        Pictures of hits.
    name
        See `experiment_page_folder`.
    now
        Unix seconds instead of the clock's; pictures that the page no longer shows are deleted after a day.

    Returns
    -------
    Key of index.html, which is written last.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    gallery = gallery or HitGallery()
    folder = experiment_page_folder(report.experiment, name)
    for file, data in gallery.files.items():
        store.write(f"{folder}{file}", data)
    store.write(f"{folder}page.css", page_source(STYLE) + _source("experiment.css"))
    store.write(f"{folder}page.js", join_scripts([*map(page_source, SHARED), *map(_source, (*SCRIPTS, LAST))]))
    store.write(f"{folder}{DATA}", encode_report(report, gallery))
    store.write(f"{folder}index.html", _source("index.html"))
    delete_pictures(store, folder, gallery.files, before=(time.time() if now is None else now) - OLD_PICTURE_S)
    return f"{folder}index.html"


def link_plates(store: Store, folders: Iterable[str], *, name: str = CURRENT) -> int:
    """Let the pages of plates link to that of their experiment; return how many were changed.

    Parameters
    ----------
    store
        Where the pages lie.
    folders
        Folders of the plates' pages, ``results/<experiment>/<plate>/<recipe>/page/``; those without a page are left.
    name
        See `experiment_page_folder`.
    """
    data, changed = encode_links([("experiment", f"../../../_experiment/{quote(name)}/page/index.html")]), 0
    for folder in folders:
        try:
            is_there = store.read(f"{folder}{LINKS}") == data
        except FileNotFoundError:
            is_there = not store.exists(f"{folder}index.html")
        if not is_there:
            store.write(f"{folder}{LINKS}", data)
            changed += 1
    return changed


def encode_report(report: ExperimentReport, gallery: HitGallery | None = None) -> bytes:
    """Write data.js: pure ASCII, in which no text of the experiment can end the script or become markup."""
    gallery = gallery or HitGallery()
    bounded, notes = _bound(report)
    shares, n_features = _shares(report.variance)
    shown = {
        **{key: getattr(report, key) for key in ("experiment", "analysis", "recipe", "verdict")},
        "reasons": list(report.reasons),
        "counts": [asdict(count) for count in report.counts],
        "notes": [*report.notes, *notes],
        "explained": [None if share is None else round(share, 4) for share in report.explained],
        "criteria": dict(report.criteria),
        **{table: _columns(bounded.rows(table)) for table in _TABLES},
        "variance": shares,
        "n_features": n_features,
        "channels": [{"name": channel, "color": color} for channel, color in gallery.channels],
        # in as many digits as hits have, by which a picture finds its hit
        "gallery": [asdict(hit) | {"concentration": plain(hit.concentration)} for hit in gallery.hits],
    }
    return assign_script("EXPERIMENT", shown)


_TABLES = ("hits", "doses", "charts", "failures", "mixing", "plates", "points", "leaderboard")


def _bound(report: ExperimentReport) -> tuple[ExperimentReport, list[str]]:
    """The report without the rows that the page has no room for, and sentences that say so."""
    hits = rank_hits(report.hits) if len(report.hits) else report.hits
    kept = {name: getattr(report, name) for name in MOST} | {"hits": hits}
    kept["doses"] = _of_shown(report.doses, hits.head(MOST["hits"]))
    kept["points"] = _spread(report.points, MOST["points"])
    kept["charts"] = _whole_features(report.charts, MOST["charts"])
    bounded = {name: frame.head(MOST[name]) for name, frame in kept.items()}
    notes = [
        f"This page shows {len(bounded[name]):,} of {len(getattr(report, name)):,} {words}; all are in the table "
        f"{_IN_SQL[name]}."
        for name, words in (
            ("hits", "treatments"),
            ("failures", "failures"),
            ("points", "profiles"),
            ("plates", "plates"),
            ("doses", "doses of curves"),
            ("charts", "points of control charts"),
        )
        if len(bounded[name]) < len(getattr(report, name))
    ]
    return replace(report, **bounded), notes


def _of_shown(doses: pd.DataFrame, hits: pd.DataFrame) -> pd.DataFrame:
    """Dose responses of the treatments shown, those of hits first."""
    if not len(doses) or not len(hits):
        return doses
    places = {name: place for place, name in reversed(list(enumerate(hits["treatment"])))}
    shown = [(places[name], row) for row, name in enumerate(doses["treatment"]) if name in places]
    return doses.iloc[[row for _, row in sorted(shown)]]


def _spread(points: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many points, spread evenly over all."""
    return points if len(points) <= most else points.iloc[[len(points) * i // most for i in range(most)]]


def _whole_features(charts: pd.DataFrame, most: int) -> pd.DataFrame:
    """The charts of as many features as there is room for, none cut off."""
    if len(charts) <= most or "feature" not in charts:
        return charts
    kept: set[str] = set()
    count = 0
    for feature, size in Counter(charts["feature"]).items():
        count += size
        if count > most:
            break
        kept.add(feature)
    return charts.loc[[feature in kept for feature in charts["feature"]]]


def _shares(variance: pd.DataFrame) -> tuple[dict[str, Any], int]:
    """Shares of variance as factors and rows: the mean over all features, then those that the process moves most."""
    if not len(variance):
        return {"factors": [], "rows": []}, 0
    wide = variance.pivot_table(index="feature", columns="factor", values="share", sort=False).astype(float)
    factors = list(dict.fromkeys(variance["factor"]))
    wide = wide[[factor for factor in factors if factor in wide]]
    process = [name for name in wide if name not in ("treatment", "residual")]
    ordered = wide.loc[wide[process].sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows = [{"feature": "", "shares": [_share(wide[factor].mean()) for factor in wide]}]
    rows += [
        {"feature": str(name), "shares": [_share(value) for value in row]}
        for name, row in zip(ordered.index[:MOST_FEATURES], ordered.to_numpy()[:MOST_FEATURES], strict=True)
    ]
    return {"factors": list(wide.columns), "rows": rows}, len(wide)


def _share(value: Any) -> float | None:
    return None if pd.isna(value) else round(float(value), 4)


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """A table by columns; a column of few different texts as these and their places, an empty one as nothing."""
    return {"rows": len(frame)} | {
        name: _column(name, list(frame[name])) for name in frame.columns if any(v is not None for v in frame[name])
    }


def _column(name: str, values: Sequence[Any]) -> Any:
    if name in _DIGITS:
        return [value if value is None else float(f"{value:.{_DIGITS[name]}g}") for value in values]
    texts = [value for value in values if isinstance(value, str)]
    different = list(dict.fromkeys(texts))
    if len(texts) < len(values) or 2 * len(different) > len(texts):
        return values
    places = {text: place for place, text in enumerate(different)}
    return {"words": different, "places": [places[value] for value in values]}


def _source(name: str) -> bytes:
    return (files("imaging.analyses") / "page_files" / name).read_bytes()
