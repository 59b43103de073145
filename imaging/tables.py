"""The tables, declared once: Parquet schemas, BigQuery schemas and the documentation derive from here.

    images, sites, wells, plates      what was measured, level by level, with verdicts
    well_annotations                  what plate maps and tables joined to them say of each well, column by column
    statistics, features              assay statistics of the plate; the dictionary of feature columns
    plate_metrics                     what is typical of the plate's wells, against earlier plates
    faults, decisions                 what was wrong with uploads, and what a person or patience decided about it
    cells, image_features             one row per cell, in Parquet only; one row per image
    illumination                      the plate's own fields of illumination, against the frozen one
    suspicions                        what looks wrong with a plate as a whole
    site_runs                         provenance: the only table with times, hosts and devices
    plate_runs                        which publication of a plate is current; made from the publication records
    acquisition_decisions             which acquisition of a barcode is; made from the records of those decisions
    promotions                        which recipe the tables show; made from the promotion records
    profiles, hits, ..., analyses     what experiments come to (imaging/analysis_tables.py)

Feature columns depend on the recipe: ``wells`` has them as float64, ``cells`` and ``image_features`` as float32.
"""

from __future__ import annotations

from imaging.analysis_tables import ANALYSED, ANALYSES, ANALYSIS_CHOICES
from imaging.shared_columns import CHANNEL, COUNTS, IMAGE_METRICS, PLACE, SITE, TIME_POINT, VERDICT, WELL
from imaging.table_schema import FLAG, INTEGER, NUMBER, SINGLE, TEXT, TEXTS, TIME, Column, Table, table_markdown

IMAGES = Table(
    "images",
    "One row per expected image.",
    (
        *PLACE,
        WELL,
        SITE,
        TIME_POINT,
        CHANNEL,
        Column("state", TEXT, "", "arrived, faulted (what came cannot be read) or missing"),
        Column("planes_expected", INTEGER, "", "planes that it should be made of: more than 1 for a z-stack"),
        Column("planes_arrived", INTEGER, "", "planes that came, readable or not"),
        Column("planes_measured", INTEGER, "", "planes that its values are from; 0 where it was not measured"),
        Column("name", TEXT, "", "path of the file inside the plate's folder"),
        Column("size_bytes", INTEGER, "bytes", "size of the file"),
        Column("digest", TEXT, "", "hash of the file's content"),
        Column("height", INTEGER, "px", "rows of the image"),
        Column("width", INTEGER, "px", "columns of the image"),
        Column("dtype", TEXT, "", "pixel type: uint8 or uint16"),
        *VERDICT,
        Column("not_measured", TEXTS, "", "why metrics are NULL, one sentence each; empty when none is"),
        *IMAGE_METRICS,
    ),
)
SITES = Table(
    "sites",
    "One row per expected site.",
    (
        *PLACE,
        WELL,
        SITE,
        TIME_POINT,
        Column("state", TEXT, "", "done, failed or missing"),
        *COUNTS,
        Column("channels_missing", TEXTS, "", "channels the site was measured without"),
        *VERDICT,
    ),
)
WELLS = Table(
    "wells",
    "One row per imaged well and time point; feature columns hold the median over the well's cells; those that begin "
    "with Mean_, MAD_ or Count_ their mean, median absolute deviation or number of values, where the declaration asks "
    "for them.",
    (
        *PLACE,
        WELL,
        TIME_POINT,
        Column("row", TEXT, "", "row of the well, A to AF"),
        Column("column", INTEGER, "", "column of the well, counted from 1"),
        Column("treatment", TEXT, "", "what the plate map says was added"),
        Column("concentration", NUMBER, "see concentration_unit", "concentration of the treatment"),
        Column("concentration_unit", TEXT, "", "unit of the concentration"),
        Column("control", TEXT, "", "negcon, poscon, empty or trt"),
        Column("sites_expected", INTEGER, "", "sites that should be imaged"),
        Column("sites_done", INTEGER, "", "sites that were measured"),
        *COUNTS,
        *VERDICT,
    ),
    feature_kind=NUMBER,
)
WELL_ANNOTATIONS = Table(
    "well_annotations",
    "One row per well and column of the plate map, of tables joined to it and of barcode files; none for empty cells.",
    (
        *PLACE,
        WELL,
        Column("name", TEXT, "", "name of the column, such as gene, moa or cell_line, without a leading Metadata_"),
        Column("value", TEXT, "", "what the cell says, as it stands there"),
    ),
)
PLATES = Table(
    "plates",
    "One row per publication of a plate.",
    (
        *PLACE,
        Column("status", TEXT, "", "complete or with-missing"),
        Column("is_declared", FLAG, "", "whether the experiment's declaration names the plate"),
        Column("images_expected", INTEGER, "", "images that should be there; the sum of the next three"),
        Column("images_arrived", INTEGER, "", "images that came and can be read"),
        Column("images_faulted", INTEGER, "", "images that came and cannot be read"),
        Column("images_missing", INTEGER, "", "images that never came"),
        Column("sites_expected", INTEGER, "", "sites that should be there; the sum of the next three"),
        Column("sites_done", INTEGER, "", "sites that were measured"),
        Column("sites_failed", INTEGER, "", "sites given up after repeated attempts"),
        Column("sites_missing", INTEGER, "", "sites without images"),
        *COUNTS,
        Column("z_prime", NUMBER, "", "Z' factor of the first feature the declaration names, at the first time point"),
        Column("z_prime_feature", TEXT, "", "that feature"),
        *VERDICT,
        Column("not_judged", TEXTS, "", "rules that could not be applied, and why, one sentence each"),
    ),
)
PLATE_METRICS = Table(
    "plate_metrics",
    "One row per time point, channel and image metric, and per count: what is typical of the plate, and of earlier "
    "plates.",
    (
        *PLACE,
        TIME_POINT,
        Column("channel", TEXT, "", "channel such as DNA; NULL for counts"),
        Column("metric", TEXT, "", "image metric, nuclei_count or cells_count"),
        Column("n_wells", INTEGER, "", "wells with a value; empty wells and images without content are left out"),
        Column("median", NUMBER, "the metric's", "median over wells, each the median of its images or sites"),
        Column("robust_sd", NUMBER, "the metric's", "robust standard deviation of the wells; NULL if all are the same"),
        Column("history_plates", INTEGER, "", "earlier plates with a value, the newest 20 at most"),
        Column("history_median", NUMBER, "the metric's", "median of their medians"),
        Column("history_robust_sd", NUMBER, "the metric's", "robust standard deviation of their medians"),
        Column("robust_z", NUMBER, "", "(median - history_median) / history_robust_sd, from 5 earlier plates on"),
        Column("reason", TEXT, "", "why robust_z is NULL"),
    ),
)
STATISTICS = Table(
    "statistics",
    "One row per time point and feature whose assay statistics the declaration asks for.",
    (
        *PLACE,
        TIME_POINT,
        Column("feature", TEXT, "", "column of wells"),
        Column("z_prime", NUMBER, "", "Z' factor of the controls"),
        Column("robust_z_prime", NUMBER, "", "Z' factor from medians and median absolute deviations"),
        Column("ssmd", NUMBER, "", "strictly standardized mean difference, positive minus negative controls"),
        Column("negcon_mean", NUMBER, "the feature's", "mean of the negative control wells"),
        Column("negcon_sd", NUMBER, "the feature's", "their standard deviation; NULL for fewer than two"),
        Column("poscon_mean", NUMBER, "the feature's", "mean of the positive control wells"),
        Column("poscon_sd", NUMBER, "the feature's", "their standard deviation; NULL for fewer than two"),
        Column("n_negcon", INTEGER, "", "negative control wells with a value"),
        Column("n_poscon", INTEGER, "", "positive control wells with a value"),
        Column("reason", TEXT, "", "why a statistic is NULL"),
    ),
)
FEATURES = Table(
    "features",
    "One row per feature column of cells, wells and image_features.",
    (
        *PLACE,
        Column("feature", TEXT, "", "name of the column"),
        Column("family", TEXT, "", "group such as AreaShape or Intensity"),
        Column("objects", TEXT, "", "Nuclei, Cells or Cytoplasm; Image for features of whole images"),
        Column(
            "channel", TEXT, "", "channel it is measured on, two for a pair (DNA,ER); NULL for shapes and whole images"
        ),
        Column("unit", TEXT, "", "unit of the values; 1 where they have none"),
        Column("definition", TEXT, "", "what is measured"),
        Column("null_when", TEXT, "", "which objects have no value, and why; empty where all have one"),
        Column("source", TEXT, "", "where the definition is from"),
    ),
)
FAULTS = Table(
    "faults",
    "One row per uploaded file that does not count, and per warning about the plate's map.",
    (
        *PLACE,
        Column("kind", TEXT, "", "what is wrong: unreadable, unknown, duplicate, superseded or plate map"),
        Column("name", TEXT, "", "path of the file inside the plate's folder; a plate map's beside experiment.yaml"),
        WELL,
        SITE,
        TIME_POINT,
        CHANNEL,
        Column("reason", TEXT, "", "what is wrong, in words"),
    ),
)
DECISIONS = Table(
    "decisions",
    "One row per decision that counts, of a person or of patience.",
    (
        *PLACE,
        Column("kind", TEXT, "", "what was decided, e.g. missing"),
        WELL,
        SITE,
        TIME_POINT,
        CHANNEL,
        Column("plane", INTEGER, "", "plane of the image's z-stack; NULL for the whole image"),
        Column("reason", TEXT, "", "why, in words"),
        Column("decided_by", TEXT, "", "person, patience when nothing came for the declared time, or instrument"),
    ),
)
CELLS = Table(
    "cells",
    "One row per cell; Nuclei, Cells and Cytoplasm of one cell share the row.",
    (
        *PLACE,
        WELL,
        SITE,
        TIME_POINT,
        Column("ObjectNumber", INTEGER, "", "label of the cell in the site's label images"),
    ),
    feature_kind=SINGLE,
)
IMAGE_FEATURES = Table(
    "image_features",
    "One row per measured image: features of the whole image, measured on what the cells are measured on.",
    (*PLACE, WELL, SITE, TIME_POINT, CHANNEL),
    feature_kind=SINGLE,
)
RUN_COLUMNS = (
    Column("started_at", TIME, "UTC", "when measuring began"),
    Column("seconds", NUMBER, "s", "time it took"),
    Column("cpu_seconds", NUMBER, "s", "processor time it took"),
    Column("machine_seconds", NUMBER, "s", "worker time it used: its share while the worker had several sites in hand"),
    Column("host", TEXT, "", "machine"),
    Column("environment", TEXT, "", "name of the environment, such as local or gcp"),
    Column("place", TEXT, "", "where the machine stands, such as europe-west4"),
    Column("price_per_hour", NUMBER, "USD/h", "what an hour of the worker cost; NULL where nobody said"),
    Column("cost", NUMBER, "USD", "machine_seconds at that price; NULL without one"),
    Column("software", TEXT, "", "version of the software"),
    Column("device", TEXT, "", "cpu or cuda"),
    Column("versions", TEXT, "", "Python and the packages that make numbers, with their versions"),
)
"""What a site's manifest says of its run (``imaging.provenance``)."""

SITE_RUNS = Table(
    "site_runs",
    "One row per measured site: how its values came about.",
    (
        *PLACE,
        WELL,
        SITE,
        TIME_POINT,
        Column("inputs", TEXT, "", "hash of the image versions and settings the site was measured from"),
        Column("content", TEXT, "", "hash of the images' contents and settings"),
        *RUN_COLUMNS,
        Column("part_key", TEXT, "", "address of the site's cell table"),
        Column("zarr_group", TEXT, "", "group of the site inside the plate's OME-Zarr"),
    ),
)
ILLUMINATION = Table(
    "illumination",
    "One row per channel and estimate of the plate's own field of illumination; none where no thumbnails are kept.",
    (
        *PLACE,
        CHANNEL,
        Column("variant", TEXT, "", "robust (background without cells and debris) or mean (all pixels, JUMP's recipe)"),
        Column("n_sites", INTEGER, "", "sites it comes from"),
        Column("error_percent", NUMBER, "%", "how well it is known: half the greatest difference of two halves"),
        Column("field_range", NUMBER, "", "its brightest place over its darkest"),
        Column("drift_percent", NUMBER, "%", "its greatest difference from the frozen field; of the declared variant"),
        Column("source", TEXT, "", "where the frozen field is from: none, file, previous or plate"),
        Column("frozen_from", TEXT, "", "which file or publication that is; NULL where the channel is not corrected"),
        Column("frozen_digest", TEXT, "", "hash of the frozen field; NULL where the channel is not corrected"),
    ),
)
SUSPICIONS = Table(
    "suspicions",
    "One row per suspicion about a plate as a whole; nothing is corrected.",
    (
        *PLACE,
        Column("kind", TEXT, "", "swapped channels, moved plate, same images, same look or several acquisitions"),
        Column("points_to", TEXT, "", "what it is about: a channel, a change of place, another plate"),
        Column("evidence", TEXT, "", "what was seen, and what to check"),
        Column("score", NUMBER, "", "the number that decides"),
        Column("threshold", NUMBER, "", "from which on it does"),
    ),
)
PLATE_RUNS = Table(
    "plate_runs",
    "One row per publication of a plate; views show rows of current ones of current acquisitions, unless withdrawn.",
    (
        *PLACE,
        Column("number", INTEGER, "", "publications of a plate under a recipe count from 1"),
        Column("status", TEXT, "", "complete, with-missing or withdrawn"),
        Column("published_at", TIME, "UTC", "when the publication was recorded"),
        Column("barcode", TEXT, "", "the physical plate it shows; NULL for publications of older software"),
        Column("first_image_at", TIME, "UTC", "when the first of its images was written"),
        Column("is_current", FLAG, "", "whether it is the plate's newest under this recipe"),
        Column("is_current_acquisition", FLAG, "", "whether views show this acquisition of its barcode"),
        Column("is_experimental", FLAG, "", "whether the parameters came with an upload; tables do not show its rows"),
    ),
)
ACQUISITION_DECISIONS = Table(
    "acquisition_decisions",
    "One row per acquisition of each barcode that has several: what was decided last, by whom and why.",
    (
        PLACE[0],
        Column("barcode", TEXT, "", "the physical plate"),
        Column("number", INTEGER, "", "decisions about a barcode count from 1; the highest counts"),
        Column("plate", TEXT, "", "acquisition: a folder under raw/"),
        Column("is_chosen", FLAG, "", "whether it is the current one"),
        Column("chosen", TEXT, "", "the acquisition that is current"),
        Column("status", TEXT, "", "complete, with-missing or withdrawn, when that was decided"),
        Column("first_image_at", TIME, "UTC", "when the first of its images was written"),
        Column("acquisitions", INTEGER, "", "number of the barcode's published acquisitions"),
        Column("reason", TEXT, "", "why that one, in words"),
        Column("decided_by", TEXT, "", "a person, or the rule"),
        Column("decided_at", TIME, "UTC", "when that was decided"),
        Column("warning", TEXT, "", "what a person should look at; NULL where nothing is"),
    ),
)
PROMOTIONS = Table(
    "promotions",
    "One row per promotion of a recipe; the last of an experiment says what its tables show.",
    (
        PLACE[0],
        Column("number", INTEGER, "", "promotions of an experiment count from 1"),
        Column("recipe", TEXT, "", "recipe that was promoted"),
        Column("instead_of", TEXT, "", "recipe that plates were processed under before"),
        Column("because", TEXT, "", "why, in the words of who did it"),
        Column("promoted_at", TIME, "UTC", "when it was promoted"),
        Column("is_current", FLAG, "", "whether it is the experiment's last"),
    ),
)
_LIVE = (
    *PLACE[:3],
    Column("is_published", FLAG, "", "whether the plate's current publication holds this measurement"),
    Column("finished_at", TIME, "UTC", "when measuring the site ended"),
)
IMAGES_LIVE = Table(
    "images_live",
    "One row per image of measured sites of plates being imaged or changed since published; verdicts are provisional.",
    (*_LIVE, Column("arrived_at", TIME, "UTC", "when the file was written"), *IMAGES.columns[len(PLACE) :]),
)
SITES_LIVE = Table(
    "sites_live",
    "One row per measured site of plates being imaged or changed since published; verdicts are provisional.",
    (*_LIVE, *SITES.columns[len(PLACE) :]),
)
FAULT_RECORDS = Table(
    "fault_records",
    "One row per version of an uploaded file that was found unusable, also where it has been replaced since.",
    (
        *PLACE[:3],
        WELL,
        SITE,
        TIME_POINT,
        CHANNEL,
        Column("name", TEXT, "", "path of the file inside the plate's folder"),
        Column("token", TEXT, "", "version of the file: a replacement has another"),
        Column("size_bytes", INTEGER, "B", "size of that version"),
        Column("reason", TEXT, "", "what is wrong with it"),
        Column("found_at", TIME, "UTC", "when it was read"),
    ),
)

PUBLISHED = (
    IMAGES,
    SITES,
    WELLS,
    WELL_ANNOTATIONS,
    PLATES,
    PLATE_METRICS,
    STATISTICS,
    FEATURES,
    FAULTS,
    DECISIONS,
    CELLS,
    IMAGE_FEATURES,
    ILLUMINATION,
    SITE_RUNS,
    SUSPICIONS,
)
"""Tables a publication writes, one Parquet file each."""

TABLES = {
    table.name: table
    for table in (
        *PUBLISHED,
        PLATE_RUNS,
        ACQUISITION_DECISIONS,
        PROMOTIONS,
        IMAGES_LIVE,
        SITES_LIVE,
        FAULT_RECORDS,
        *ANALYSED,
        ANALYSES,
        ANALYSIS_CHOICES,
    )
}
"""Every table by name."""


def tables_markdown() -> str:
    """Describe every table and column as Markdown."""
    return "\n".join(table_markdown(table) for table in TABLES.values())
