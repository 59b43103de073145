"""The page of an experiment from the record of an analysis: its tables read back, its plates, pictures of its hits."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.analyses.analysis_records import ANALYSED_STATUS, AnalysisRecord
from imaging.analyses.board import Board
from imaging.analyses.gallery import HitGallery, WellPictures, build_gallery
from imaging.analyses.page import link_plates, plate_page_link, write_report
from imaging.analyses.profile_map import ProfileMap, map_profiles
from imaging.analyses.profiles import Profiles
from imaging.analyses.publications import identify, select_published
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.report_tables import AnalysisTables, report_of
from imaging.analysis_tables import PROFILES
from imaging.columns import read_time
from imaging.errors import ConfigurationError, StoredDataError
from imaging.export.selection import Published
from imaging.job import PlateJob, open_experiment, open_job
from imaging.names import results_prefix
from imaging.store import Store

Frame = Any
"""A pandas frame; its own types do not tell a frame's row, column and part from each other."""


def write_experiment_page(store: Store, record: AnalysisRecord, board: Board) -> str:
    """Write the page of an experiment after one of its analyses, and let the pages of its plates link to it.

    Parameters
    ----------
    store
        Where everything is.
    record
        The analysis that the page shows; one that failed gives a page that says why.
    board
        The experiment's recipes side by side.

    Returns
    -------
    Key of the page.

    Raises
    ------
    StoredDataError
        If a table of the analysis is gone or damaged.
    """
    made_of = {tuple(each) for each in record.publications}
    published = [each for each in select_published(store, record.experiment).plates if tuple(identify(each)) in made_of]
    tables = {name: _read(store, key) for name, key in record.tables.items()}
    profiles: Frame = tables.get(PROFILES.name, pd.DataFrame({"level": []}))
    wells = profiles[profiles["level"] == "well"]
    recipe = AnalysisRecipe.model_validate(record.content.get("declared") or {})
    report = report_of(
        AnalysisTables(
            hits=tables.get("hits", pd.DataFrame({"treatment": [], "is_hit": []})),
            doses=tables.get("doses", pd.DataFrame()),
            dose_points=tables.get("dose_points", pd.DataFrame()),
            controls=tables.get("controls", pd.DataFrame()),
            failures=tables.get("process_failures", pd.DataFrame()),
            variance=tables.get("feature_variance", pd.DataFrame()),
            plates=_plates(published, wells),
            mixing=_mixing(record, recipe),
            leaderboard=_leaderboard(board, record.recipe),
        ),
        experiment=record.experiment,
        analysis=record.run,
        recipe=record.recipe,
        criteria=recipe.hits,
        profile_map=_map(wells),
        notes=[*([record.reason] if record.reason else []), *(record.content.get("notes") or [])],
        is_failed=record.status != ANALYSED_STATUS,
    )
    key = write_report(store, report, _gallery(store, record.experiment, published, report.hits, wells))
    folders = (f"{results_prefix(each.experiment, each.plate, each.recipe)}page/" for each in published)
    link_plates(store, folders)
    return key


def _read(store: Store, key: str, columns: Sequence[str] | None = None) -> Frame:
    try:
        data = pq.ParquetFile(io.BytesIO(store.read(key)))
        known = data.schema_arrow.names
        return data.read(columns=None if columns is None else [name for name in columns if name in known]).to_pandas()
    except FileNotFoundError as error:
        raise StoredDataError("a table is gone; platestream repair makes it again", key=key) from error
    except pa.ArrowException as error:
        said = str(error).splitlines()[0]
        raise StoredDataError(f"a table is damaged ({said}); platestream repair makes it again", key=key) from error


def _plates(published: Iterable[Published], wells: Frame) -> Frame:
    """The plates in the order in which their first images came, with batch, verdict and page."""
    batches = dict(zip(wells.get("plate", ()), wells.get("batch", ()), strict=True))
    rows: list[dict[str, Any]] = []
    for each in published:
        judged = _judged(each)
        published_at = read_time(each.record["published_at"])
        at = published_at.timestamp() if published_at else 0.0
        rows.append(
            {
                "plate": each.plate,
                "batch": batches.get(each.plate),
                "verdict": judged.get("verdict"),
                "z_prime": judged.get("z_prime"),
                "page": plate_page_link(each.plate, each.recipe),
                "published_at": each.record["published_at"],
                "first_image_at": each.record.get("first_image_at") or at,
            }
        )
    frame = pd.DataFrame(
        rows, columns=["plate", "batch", "verdict", "z_prime", "page", "published_at", "first_image_at"]
    )
    return frame.sort_values(["first_image_at", "plate"], ignore_index=True)


def _judged(published: Published) -> dict[str, Any]:
    """A plate's row of the table ``plates``; a damaged table holds up the page of no experiment."""
    try:
        [judged] = _read(published.store, published.key("plates"), ["verdict", "z_prime"]).to_dict("records") or [{}]
    except StoredDataError:
        return {}
    return judged


def _mixing(record: AnalysisRecord, recipe: AnalysisRecipe) -> dict[str, Any]:
    """Measures of mixing without correction, and with the recipe's where it has one."""
    mixing = (record.content.get("details") or {}).get("mixing") or {}
    found = {"uncorrected": mixing.get("before")}
    if recipe.correct.method != "none":
        found[recipe.correct.method] = mixing.get("after")
    return {method: said for method, said in found.items() if said}


def _leaderboard(board: Board, counts: str) -> Frame:
    rows = [
        {
            **row,
            "mechanism_recall": row.get("nsc"),
            "counts": row["recipe"] == counts,
        }
        for row in board.rows
    ]
    return pd.DataFrame(rows)


def _map(wells: Frame) -> ProfileMap | None:
    declared = [column.name for column in PROFILES.columns]
    features = [name for name in wells.columns if name not in declared]
    if wells.empty or not features:
        return None
    known = wells[declared].reset_index(drop=True)
    return map_profiles(Profiles(wells[features].to_numpy(dtype=float), tuple(features), known))


def _gallery(store: Store, experiment: str, published: Sequence[Published], hits: Frame, wells: Frame) -> HitGallery:
    """Pictures of hits; none where the experiment is not declared, as when its images were processed elsewhere."""
    if wells.empty or hits.empty:
        return HitGallery()
    recipes = {each.plate: each.recipe for each in published}
    try:
        declared = open_experiment(store, experiment)
    except ConfigurationError:
        return HitGallery()

    def job(plate: str) -> PlateJob | None:
        try:
            return open_job(store, experiment, plate, recipe=recipes[plate]) if plate in recipes else None
        except ConfigurationError:  # its recipe is declared no longer
            return None

    channels = [(channel.name, f"#{channel.color}") for channel in declared.channels]
    return build_gallery(hits, wells, WellPictures(job), channels=channels)
