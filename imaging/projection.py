"""What is made from a publication and may be made again: the plate's page and the metadata of its OME-Zarr."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.acquisitions import decide_acquisition
from imaging.atlas import PlatePictures, build_pictures
from imaging.errors import StoredDataError
from imaging.experiment import Experiment
from imaging.illumination_shelf import offer_field
from imaging.job import PlateJob
from imaging.names import is_experimental, stored, to_json
from imaging.page import write_page
from imaging.page_tables import page_from_tables
from imaging.publication import Publication, publish, read_manifests
from imaging.publication_records import read_publication_record
from imaging.published_marks import mark_published
from imaging.records import projected_key, publication_key, publication_numbers
from imaging.store import Store
from imaging.wells import PLATE_SHAPES
from imaging.zarr_plate import read_thumbnail, write_plate_metadata

PAGE_TABLES = ("images", "sites", "wells", "plates", "statistics", "features", "faults", "decisions", "site_runs")


def publish_and_project(job: PlateJob) -> Publication | None:
    """Publish a plate if it has anything new, and write page and plate metadata unless that is done.

    Whoever finishes an older page after a newer publication sees that one here and writes the page again.
    """
    publication = publish(job)
    is_overtaken = False
    while publication is not None:
        key = projected_key(job.prefix, publication.number, publication.state)
        if not is_overtaken and job.store.exists(key):
            return publication
        project(job, publication)
        decide_acquisition(job.store, job.experiment, job.plate)
        if _last_number(job) == publication.number:
            record = publication_key(job.prefix, publication.number)
            kept = {"number": publication.number, "run": publication.run}
            job.store.create(key, to_json(kept | {"record": stored(record, job.store.read(record))}))
            return publication
        is_overtaken = True  # an older page may lie over that of the newest publication now
        publication = publish(job)
    return None


def project(job: PlateJob, publication: Publication) -> None:
    """Write the page of a publication and the metadata of its images, and offer its field to later plates."""
    record = read_publication_record(job, publication.number)
    mark_published(job.store, job.experiment.name, job.plate, job.recipe, publication.number)
    if not is_experimental(job.recipe):
        offer_field(job.store, job.experiment, record)
    names = [key.rsplit("/", 1)[-1].removesuffix(".json") for key in publication.manifests]
    manifests = [item for item in read_manifests(job.store, job.prefix, names) if item["zarr"]]
    if manifests and not is_experimental(job.recipe):
        describe_images(job.store, job.zarr, job.plate, job.experiment.layout.wells, manifests)
    layout = job.experiment.layout
    tables = {name: read_table(job, publication, name) for name in PAGE_TABLES}
    pictures = _draw(job, manifests) if manifests else None
    page = page_from_tables(
        tables,
        shape=PLATE_SHAPES[layout.wells],
        channels=[(channel.name, f"#{channel.color}") for channel in job.experiment.channels],
        pictures=pictures.layout if pictures else None,
    )
    write_page(job.store, page_folder(job), page, pictures.files if pictures else {})


def page_folder(job: PlateJob) -> str:
    """Folder of a plate's page."""
    return f"{job.prefix}page/"


def page_address(job: PlateJob) -> str:
    """Address of a plate's page: ``file:///...`` where the store is a folder."""
    key = f"{page_folder(job)}index.html"
    path = job.store.local_path(key)
    return path.as_uri() if path else f"{job.store.url}/{key}"


def read_table(job: PlateJob, publication: Publication, name: str) -> pa.Table:
    """Read one table of a publication."""
    return pq.read_table(io.BytesIO(job.store.read(publication.tables[name])))


def _last_number(job: PlateJob) -> int:
    return publication_numbers(job.prefix, job.store.list(f"{job.prefix}publications/"))[-1]


def describe_images(
    store: Store, plate_key: str, plate: str, layout_wells: int, manifests: Iterable[Mapping[str, Any]]
) -> None:
    """Describe the images of these sites as a plate's OME-Zarr; each manifest must name some."""
    wells: dict[str, list[tuple[int, str]]] = {}
    for manifest in manifests:
        wells.setdefault(manifest["well"], []).append((manifest["site"], manifest["zarr"]["group"].rsplit("/", 1)[-1]))
    write_plate_metadata(store, plate_key, plate_name=plate, layout_wells=layout_wells, wells=wells)


def site_numbers(experiment: Experiment, found: Iterable[int]) -> tuple[int, ...]:
    """Numbers of the sites of a well in order: those of the layout, and what else a manifest of the instrument adds."""
    return tuple(sorted({*experiment.layout.site_numbers, *found}))


def _draw(job: PlateJob, manifests: list[dict[str, Any]]) -> PlatePictures:
    def thumbnails() -> Iterator[tuple[str, int, dict[str, np.ndarray]]]:
        for manifest in manifests:
            try:
                planes = read_thumbnail(job.store, job.zarr, manifest["zarr"]["group"])
            except StoredDataError:  # somebody deleted the pixels; numbers and page do without (validate says so)
                continue
            channels = [image["channel"] for image in manifest["images"]]
            yield manifest["well"], manifest["site"], dict(zip(channels, planes, strict=True))

    return build_pictures(
        thumbnails,
        shape=PLATE_SHAPES[job.experiment.layout.wells],
        sites=site_numbers(job.experiment, (manifest["site"] for manifest in manifests)),
        channels=[channel.name for channel in job.experiment.channels],
    )
