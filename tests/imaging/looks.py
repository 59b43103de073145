"""Looks at folders for a first declaration, and small images with headers of instruments."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tifffile

from imaging.arrivals import sort_arrivals
from imaging.experiment import Experiment, read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.initialize import FolderLook
from imaging.initialize import look_at as look_at_folder
from tests.imaging.format_folders import HeldFolder

METASERIES = """<MetaData><prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-units" type="string" value="um"/><prop id="_IllumSetting_" type="string" value="DAPI"/>"""
WAVE = '<prop id="wavelength" value="452"/><custom-prop id="Exposure Time" type="string" value="100 ms"/>'
BITS = '<custom-prop id="Camera Bit Depth" type="float" value="12"/>'
OME = '<OME><Pixels PhysicalSizeX="0.3" PhysicalSizeXUnit="µm"><Channel ID="1" Name="Hoechst"/></Pixels></OME>'


def look_at(files: Iterable[str] | Mapping[str, bytes]) -> FolderLook:
    """A look at empty files of these names, or at files with content."""
    folder = HeldFolder(files if isinstance(files, Mapping) else dict.fromkeys(files, b""))
    return look_at_folder(folder.objects(), folder, name="folder")


def declared(look: FolderLook) -> Experiment:
    """The declaration that is written of a look."""
    return read_experiment(write_experiment_yaml(look, name="screen").encode())


def places(files: Iterable[str] | Mapping[str, bytes], look: FolderLook) -> set[tuple[str, int, str]]:
    """Well, site and channel of each name as the pipeline sorts them."""
    folder = HeldFolder(files if isinstance(files, Mapping) else dict.fromkeys(files, b""))
    images = sort_arrivals(declared(look), "", folder.objects(), folder=folder).images
    return {(well, site, channel) for (well, site), channels in images.items() for channel in channels}


def tiff(planes: np.ndarray, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    tifffile.imwrite(file, planes, **options)
    file.seek(0)
    return file


PLANE = np.zeros((4, 4), np.uint16)
