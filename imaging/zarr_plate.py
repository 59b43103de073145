"""The plate around the sites' OME-Zarr images: its description, and reading pixels through it.

Plate, rows and wells are a projection of the site manifests: written whole by the publisher, as plain JSON, and
written again whenever the plate is published anew. Workers never touch them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import StoredDataError
from imaging.store import Store
from imaging.time_points import join_site, site_columns
from imaging.wells import PLATE_SHAPES, Well, parse_well, row_name
from imaging.zarr_site import OME_VERSION, group_json, read_array


def well_path(well: Well) -> str:
    """Path of a well inside the plate, row and column as the plate names them: ``B/3``."""
    return f"{well.row_name}/{well.column}"


def write_plate_metadata(
    store: Store,
    plate_key: str,
    *,
    plate_name: str,
    layout_wells: int,
    wells: Mapping[str, Iterable[tuple[int, str]]],
) -> None:
    """Describe a plate: all rows and columns it has, the wells that hold images, their sites in order.

    Parameters
    ----------
    plate_key
        Address of the plate, ``images/<experiment>/<plate>.zarr``.
    layout_wells
        Number of wells of the plate: 6, 12, 24, 48, 96, 384 or 1536. The specification wants every physical row and
        column listed, and only the wells that hold images.
    wells
        Sites of each well (``B03``) as number (``imaging.time_points``) and name of its group; a well without sites is
        left out.

    Raises
    ------
    ValueError
        If a well lies outside the plate or two sites of a well have one number or one group.
    """
    n_rows, n_columns = PLATE_SHAPES[layout_wells]
    sites_of = {parse_well(name): sorted(sites) for name, sites in wells.items()}
    filled = sorted(well for well, sites in sites_of.items() if sites)
    for well in filled:
        if well.row >= n_rows or well.column > n_columns:
            raise ValueError(f"wells must lie on the plate of {layout_wells} wells, got {well}")
        numbers, groups = zip(*sites_of[well], strict=True)
        if len(set(numbers)) < len(numbers) or len(set(groups)) < len(groups):
            raise ValueError(f"sites of a well must have different numbers and groups, got {sites_of[well]} in {well}")
    for well in filled:
        store.write(f"{plate_key}/{well_path(well)}/zarr.json", group_json(_well_attributes(sites_of[well])))
    for row in sorted({well.row for well in filled}):
        store.write(f"{plate_key}/{row_name(row)}/zarr.json", group_json({}))
    most = max((len(sites_of[well]) for well in filled), default=1)
    plate = {
        "version": OME_VERSION,
        "name": plate_name,
        "field_count": most,
        "acquisitions": [{"id": 0, "name": plate_name, "maximumfieldcount": most}],
        "rows": [{"name": row_name(row)} for row in range(n_rows)],
        "columns": [{"name": str(column)} for column in range(1, n_columns + 1)],
        "wells": [{"path": well_path(well), "rowIndex": well.row, "columnIndex": well.column - 1} for well in filled],
    }
    store.write(f"{plate_key}/zarr.json", group_json({"ome": {"version": OME_VERSION, "plate": plate}}))


def read_plate_sites(store: Store, plate_key: str) -> dict[str, list[tuple[int, str]]]:
    """Sites of each well as the plate's description lists them: ``{"B03": [(1, "B/3/s1x3fa9c2d4")]}``.

    Sites are numbered by ``imaging.time_points``.

    Raises
    ------
    StoredDataError
        If the plate or one of its wells is not described.
    """
    plate = read_attributes(store, plate_key)["ome"]["plate"]
    sites: dict[str, list[tuple[int, str]]] = {}
    for path in (well["path"] for well in plate["wells"]):
        described = read_attributes(store, f"{plate_key}/{path}")["platestream"]["sites"]
        name = str(parse_well(path.replace("/", "")))
        sites[name] = [
            (join_site(site["site"], site.get("time_point", 1)), f"{path}/{site['path']}") for site in described
        ]
    return sites


def read_planes(store: Store, plate_key: str, group: str) -> NDArray[np.uint8 | np.uint16]:
    """Pixels of a site, shape ``(c, y, x)``, uint8 or uint16; ``group`` is its path inside the plate.

    Raises
    ------
    StoredDataError
        If they are missing or damaged.
    """
    return read_array(store, f"{plate_key}/{group}/0")


def read_thumbnail(store: Store, plate_key: str, group: str) -> NDArray[np.uint8 | np.uint16]:
    """Thumbnails of a site, shape ``(c, y, x)``, linear; ``group`` is its path inside the plate.

    Raises
    ------
    StoredDataError
        If they are missing or damaged.
    """
    return read_array(store, f"{plate_key}/{group}/1")


def read_labels(store: Store, plate_key: str, group: str) -> dict[str, NDArray[np.int32]]:
    """Label images of a site by object set, shape ``(y, x)``, int32; empty where the site has none.

    Raises
    ------
    StoredDataError
        If they are missing or damaged.
    """
    sets = read_attributes(store, f"{plate_key}/{group}").get("platestream", {}).get("object_sets", [])
    if not sets:
        return {}
    return dict(zip(sets, read_array(store, f"{plate_key}/{group}/objects/0"), strict=True))


def read_attributes(store: Store, group_key: str) -> dict[str, Any]:
    """Attributes of a group.

    Raises
    ------
    StoredDataError
        If the group is missing or its description is no JSON object of a Zarr group.
    """
    key = f"{group_key}/zarr.json"
    try:
        described = json.loads(store.read(key))
    except FileNotFoundError as error:
        raise StoredDataError("a group of the plate's OME-Zarr is missing", key=key) from error
    except ValueError as error:
        raise StoredDataError("a description in the plate's OME-Zarr is damaged", key=key) from error
    if not isinstance(described, dict) or described.get("node_type") != "group":
        raise StoredDataError("a description in the plate's OME-Zarr is not one of a group", key=key)
    return described.get("attributes", {})


def _well_attributes(sites: list[tuple[int, str]]) -> dict[str, Any]:
    return {
        "ome": {
            "version": OME_VERSION,
            "well": {"version": OME_VERSION, "images": [{"path": group, "acquisition": 0} for _, group in sites]},
        },
        "platestream": {"sites": [{**site_columns(number), "path": group} for number, group in sites]},
    }
