"""A plate whose every free text attacks: names of files and folders, treatments, tags of images, a plate map's columns.

``write_screen`` makes the store, ``publish_screen`` follows its plate to its publication. MARKUP does harm where it is
taken for HTML, FORMULA where it is taken for a formula, ESCAPE where a terminal obeys it; OPERATOR stands in images.
"""

from __future__ import annotations

import io
from pathlib import Path

import tifffile

from imaging.job import PlateJob, open_job
from imaging.store import FolderStore
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, WELLS, draw_plate

MARKUP = "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
FORMULA = "=1+1"
LINK = "[click](javascript:window.hacked=3) ![x](https://evil.example/x.png)"
ESCAPE = "\x1b]0;hacked\x07\x1b[2J"
OPERATOR = "Olive Operator"
FOLDER = "<script>window.hacked=4<"
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    f'<Experimenter ID="Experimenter:0" UserName="{OPERATOR}" Email="olive@lab.example"/></OME>'
)
PLATE_MAP = (
    f'well,treatment,concentration,control,"supplier {MARKUP}"\n'
    f'A01,DMSO,0,negcon,"{MARKUP}"\nA02,DMSO,0,negcon,{FORMULA}\n'
    f'B01,"{MARKUP}",1,poscon,"{LINK}"\nB02,{FORMULA},2,poscon,x\n'
)


def tag(data: bytes) -> bytes:
    """The same image with a person's name in each tag that takes one."""
    buffer = io.BytesIO()
    plane = tifffile.imread(io.BytesIO(data))
    people = [(315, "s", 0, OPERATOR, True), (316, "s", 0, f"pc-of-{OPERATOR}", True), (33432, "s", 0, OPERATOR, True)]
    tifffile.imwrite(buffer, plane, description=OME, extratags=people, metadata=None, compression="zlib")
    return buffer.getvalue()


def write_screen(root: Path) -> FolderStore:
    """A store with one plate, whose images are all there, and with a folder that no plate may be called like."""
    store = FolderStore(root)
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", tag(data))
    store.write(f"raw/screen/P1/{WELLS[0]}{MARKUP.replace('/', '')}.tif", b"no image")
    store.write(f"raw/screen/{FOLDER}/A01_w1.tif", b"no plate")
    return store


def publish_screen(root: Path) -> PlateJob:
    """The same, with the plate published."""
    job = open_job(write_screen(root), "screen", "P1", settle_s=0.0)
    follow(job)
    return job
