"""Columns that several tables have: the place of a row, verdicts, counts, metrics of images."""

from __future__ import annotations

from imaging.table_schema import INTEGER, NUMBER, TEXT, TEXTS, Column
from kernels.image_quality import describe_image_metrics

PLACE = (
    Column("experiment", TEXT, "", "experiment the plate belongs to"),
    Column("plate", TEXT, "", "acquisition: the plate's folder under raw/"),
    Column("recipe", TEXT, "", "recipe that determined the values"),
    Column("run", TEXT, "", "publication the row belongs to, named by the hash of its contents"),
)
WELL = Column("well", TEXT, "", "well such as B03")
SITE = Column("site", INTEGER, "", "imaged position inside the well, counted from 1")
TIME_POINT = Column("time_point", INTEGER, "", "time point, counted from 1")
CHANNEL = Column("channel", TEXT, "", "channel such as DNA")
VERDICT = (
    Column("verdict", TEXT, "", "pass, warn or fail; NULL for an image of a site that could not be processed"),
    Column("reasons", TEXTS, "", "why the verdict is not pass, one sentence each, the worst first; empty when it is"),
)
COUNTS = (
    Column("nuclei_count", INTEGER, "", "segmented nuclei; NULL where nothing was segmented"),
    Column("cells_count", INTEGER, "", "segmented cells; NULL where nothing was segmented"),
)

IMAGE_METRICS = tuple(
    Column(metric.name, NUMBER, "" if metric.unit == "1" else metric.unit, metric.definition)
    for metric in describe_image_metrics()
)
"""Metrics of an image, named as CellProfiler names them."""
