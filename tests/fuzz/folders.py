"""Uploaded folders: names of images in every format, and the files in which instruments describe them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from imaging.arrivals import sort_arrivals
from imaging.experiment import read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.folders import StoredFolder
from imaging.formats import FORMATS
from imaging.formats.archives import read_through_archives
from imaging.formats.contract import Delivery
from imaging.formats.inside import read_plane
from imaging.formats.named import PatternFormat
from imaging.initialize import look_at
from imaging.store import StoredObject
from tests.fuzz.damage import damaged, damaged_text, damaged_tree
from tests.fuzz.promise import Target, answer, check_sentence
from tests.fuzz.uploads import upload
from tests.imaging.format_folders import HeldFolder
from tests.imaging.harmony_indices import index, name_of
from tests.imaging.test_format_cellvoyager import MES, MRF, image, mlf, name, record
from tests.imaging.test_format_metaxpress import htd
from tests.imaging.test_format_ome_tiff import STACK, file, ome, part, pixels
from tests.imaging.test_format_ome_tiff import image as ome_image
from tests.imaging.test_format_ome_zarr import write_plate
from tests.odd_files import tiff

MOST_UNITS = 1e9
LONGEST_NAME = 255
"""As file systems have it; a bucket takes 1,024 bytes."""


def try_folder(files: Mapping[str, bytes]) -> None:
    """Each format sorts the folder, each object is told of, and the declaration that is written of it is right."""
    objects, folder = upload(files)
    for form in FORMATS.values():
        check_delivery(read_through_archives(form, objects, folder), objects, folder)
    try_look(objects, folder)


def try_look(objects: list[StoredObject], folder: StoredFolder | HeldFolder) -> None:
    """A first experiment.yaml of a folder can be read, and under it the folder's files are sorted."""
    look = answer(look_at, objects, folder, name="P1")
    if look is None:
        return
    for note in look.notes:
        check_sentence(note)
    experiment = answer(read_experiment, write_experiment_yaml(look, name="screen").encode())
    if experiment is None:  # such as a plate of an unknown size: the user has to complete what was written
        return
    arrivals = sort_arrivals(experiment, "", objects, folder=folder)
    assert all(well_site[1] >= 1 for well_site in arrivals.images)
    for unknown in arrivals.unknown:
        check_sentence(unknown.reason)


def check_delivery(delivery: Delivery, objects: list[StoredObject], folder: StoredFolder | HeldFolder) -> None:
    """Hold a delivery against the contract of formats."""
    told = delivery.told
    for text in (
        *told.problems,
        *told.remarks,
        *told.not_taken.values(),
        *(item.reason for item in delivery.passed_over),
    ):
        check_sentence(text)
    for address in (plane.address for plane in delivery.planes):
        assert all(isinstance(number, int) for number in (address.site, address.z, address.t))
        assert address.well.column >= 1
    sizes = (told.pixel_size_um, told.z_step_um, *(number for place in told.positions_um.values() for number in place))
    assert all(size is None or (math.isfinite(size) and abs(size) < MOST_UNITS) for size in sizes), sizes
    assert told.pixel_size_um is None or told.pixel_size_um > 0
    for channel in told.channels:
        assert all(value is None or math.isfinite(value) for value in (channel.emission_nm, channel.exposure_s))
    if not any(".zarr" in item.key or item.key.endswith((".zip", ".tar")) for item in objects):
        named = {plane.item.key for plane in delivery.planes} | {item.name for item in delivery.passed_over}
        assert named >= {item.key for item in objects if item.key.isprintable()}, "an object is told of nowhere"
    for plane in delivery.planes[:3] if isinstance(folder, StoredFolder) else ():
        item = plane.item
        answer(read_plane, folder.store, item.key, token=item.token, inside=plane.inside, size=item.size)


# Names

NAMES = (
    "P/2023-02-21/1334/TimePoint_1/ZStep_2/p_B02_s1_w1E94C24BD-45E4-450A-9919-257C714278F7.tif",
    "9987_B02_s1_w1_z3_t2.TIF",
    "Images/r02c03f01p01-ch1sk1fk1fl1.tiff",
    "P_B03_T0001F001L01A01Z01C01.tif",
    "MFGTMP_190530150001_B03f00d0.C01",
    "EXP/Plate1/AA02_s2_w3.png",
    "a/B03_s1.ome.tif",
    "plate.zarr/B/03/0/0/0/0/0/0/0",
    "B03_s1_DNA.tif",
    "B03-2-w1.png",
    "archive.zip",
    "Index.idx.xml",
)
PATTERNS = (
    r"(?P<well>[A-P]\d\d)_s(?P<site>\d+)_(?P<channel>\w+)\.tif",
    r"(?P<row>[A-Z]+)(?P<column>\d+)-(?P<site>\d+)-(?P<channel>.+)\.png",
    r".*_(?P<well>\w\d+)(?:_z(?P<z>\d+))?(?:_t(?P<t>\d+))?.*",
    r"(?P<well>.+)\.tif",
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+).*",
)


def try_names(named: list[bytes]) -> None:
    """Names alone: a listing of objects that nobody opens."""
    folder = HeldFolder(dict.fromkeys(sorted(raw.decode(errors="replace")[:LONGEST_NAME] for raw in named), b""))
    objects = folder.objects()
    for form in (*FORMATS.values(), *map(PatternFormat, PATTERNS)):
        assert 0 <= form.count([item.key for item in objects]) <= len(objects)
        check_delivery(read_through_archives(form, objects, folder), objects, folder)
    try_look(objects, folder)


# Manifests

GUID = "E94C24BD-45E4-450A-9919-257C714278F7"
HTDS = (
    htd(),
    htd(waves=3, sites=(3, 2), selected="101101", times=2, steps=2),
    htd(wells="A01 B02", sites=(1, 1), collected="10"),
)


def metaxpress(data: bytes) -> dict[str, bytes]:
    images = {f"p_B02_s{site}_w{wave}{GUID}.tif": SMALL for site in (1, 2) for wave in (1, 2)}
    return {"p.HTD": data, **images}


SMALL = tiff(np.arange(12, dtype=np.uint16).reshape(3, 4))
PLACES = [(2, 3, 1, 1, 0, "1"), (2, 3, 2, 1, 0, "2"), (2, 4, 1, 2, 0, "1")]
INDICES = tuple(index(version, PLACES) for version in ("V4", "V5", "V6", "V7"))


def harmony(data: bytes) -> dict[str, bytes]:
    return {"Images/Index.idx.xml": data, **{f"Images/{name_of(place)}": SMALL for place in PLACES[:2]}}


MLF = mlf(image(1), image(2), record("ERR", "failed", Row=2, Column=3, FieldIndex=3, Ch=1, ZIndex=1, TimePoint=1))


def cellvoyager(files: tuple[bytes, bytes, bytes]) -> dict[str, bytes]:
    names = ("MeasurementData.mlf", "a.mes", "a.mrf")
    return {**dict(zip(names, files, strict=True)), name(1): SMALL, name(2): SMALL}


OMES = (
    ome(ome_image(pixels(c=2, z=3, t=2))),
    ome(ome_image(pixels("".join(part(f"f{z}.ome.tif", z=z) for z in range(3)), z=3))),
    ome(
        '<Plate ID="Plate:0" Rows="8" Columns="12" Name="P"><Well ID="W" Row="1" Column="2">'
        '<WellSample ID="S" Index="0" PositionX="1.5" PositionXUnit="mm"><ImageRef ID="Image:0"/></WellSample>'
        "</Well></Plate>",
        ome_image(pixels(more='PhysicalSizeX="0.3" PhysicalSizeXUnit="\u00b5m" PhysicalSizeZ="2"', c=2)),
    ),
)


def ome_tiff(document: bytes) -> dict[str, bytes]:
    companion = {"set.companion.ome": document, "f0.ome.tif": SMALL, "f1.ome.tif": SMALL}
    return companion | {"B03_s1.ome.tif": file(document, STACK[:4])}


@lru_cache
def zarrs() -> tuple[dict[str, bytes], ...]:
    """Two small plates in OME-Zarr 0.4 and 0.5, by the names of their objects."""
    found = []
    for version in ("0.4", "0.5"):
        with tempfile.TemporaryDirectory() as place:
            write_plate(Path(place, "p.zarr"), version)
            paths = [path for path in Path(place).rglob("*") if path.is_file()]
            kept = [
                path for path in paths if "B/03/0" in path.as_posix() or path.suffix == ".json" or "/.z" in str(path)
            ]
            found.append({path.relative_to(place).as_posix(): path.read_bytes() for path in kept})
    return tuple(found)


@st.composite
def damaged_zarr(draw: st.DrawFn) -> dict[str, bytes]:
    """A plate of which one or two objects are damaged, descriptions as trees or texts."""
    files = dict(draw(st.sampled_from(zarrs())))
    names = sorted(files, key=lambda name: (not name.endswith(("json", ".zattrs", ".zarray")), name))
    for _ in range(draw(st.integers(1, 2))):
        chosen = names[min(draw(st.integers(0, 30) | st.integers(0, len(names) - 1)), len(names) - 1)]
        as_tree = chosen.endswith(("json", ".zattrs", ".zarray")) and draw(st.booleans())
        if as_tree and _is_json(files[chosen]):
            files[chosen] = json.dumps(draw(damaged_tree(json.loads(files[chosen])))).encode()
        else:
            files[chosen] = draw(
                damaged(files[chosen]) if files[chosen][:1] != b"{" else damaged_text(files[chosen].decode())
            )
    return files


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


TARGETS = (
    Target(
        "names of images",
        st.lists(damaged_text(*NAMES) | st.sampled_from([n.encode() for n in NAMES]), max_size=8),
        try_names,
    ),
    Target("MetaXpress .HTD", damaged_text(*(data.decode("latin-1") for data in HTDS)).map(metaxpress), try_folder, 20),
    Target("Harmony Index.xml", damaged_text(*(data.decode() for data in INDICES)).map(harmony), try_folder, 20),
    Target(
        "CellVoyager .mlf .mes .mrf",
        st.one_of(
            st.tuples(damaged_text(MLF.decode()), st.just(MES.encode()), st.just(MRF.encode())),
            st.tuples(st.just(MLF), damaged_text(MES), damaged_text(MRF)),
        ).map(cellvoyager),
        try_folder,
        20,
    ),
    Target("OME-XML", damaged_text(*(data.decode() for data in OMES)).map(ome_tiff), try_folder, 20),
    Target("OME-Zarr", damaged_zarr(), try_folder, 15),
)
