"""Plate maps: which treatment, concentration and control lies in which well, and what else a lab knows of it.

sources          what experiment.yaml declares: a map and its plates, or a barcode file and a folder of maps
barcodes         barcode files: which map holds for which plate
in_plate         maps that come with a plate's images
map_table        a file as a table: CSV and its kin, Excel (workbooks), Harmony layouts (assay_layouts), grids
columns          which column is what, in the labs' usual schemas
joins            tables of compounds or genes, joined to a map by its treatments
described        what the cells of a map say of the wells
reading          the map of a plate, with all faults at once
suspicions       what makes a map suspicious but not wrong
checking         all maps of an experiment, before any plate is there
"""

from imaging.platemaps.checking import MapsCheck, MapSummary, check_plate_maps
from imaging.platemaps.in_plate import find_in_folder
from imaging.platemaps.plate_map import CONTROLS, Control, PlateMap, PlateMapRow
from imaging.platemaps.reading import read_plate_map
from imaging.platemaps.sources import PlateMapSource

__all__ = [
    "CONTROLS",
    "Control",
    "MapSummary",
    "MapsCheck",
    "PlateMap",
    "PlateMapRow",
    "PlateMapSource",
    "check_plate_maps",
    "find_in_folder",
    "read_plate_map",
]
