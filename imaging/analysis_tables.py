"""The tables of analyses, declared once as those of plates are (``imaging.tables``).

    profiles             wells and treatments by features, normalised, selected and corrected
    controls             the controls of each plate: how far they stand apart
    process_failures     what failed for technical reasons, with its evidence
    hits                 what treatments do, and by which criteria
    doses, dose_points   curves of single features over concentrations, and what they are fitted to
    feature_variance     how much of each feature's variance is batch, plate, position, treatment
    analyses             which analysis of an experiment is current; made from the records of analyses
    analysis_choices     which analysis recipe of an experiment counts; made from the records of those choices

Every row carries the analysis, and the plate's publication as far as it is of one plate.
"""

from __future__ import annotations

from imaging.shared_columns import TIME_POINT, WELL
from imaging.table_schema import FLAG, INTEGER, NUMBER, TEXT, TEXTS, TIME, Column, Table

ANALYSIS_PLACE = (
    Column("experiment", TEXT, "", "experiment that is analysed"),
    Column("plate", TEXT, "", "acquisition: the plate's folder under raw/; NULL for rows of several plates"),
    Column("recipe", TEXT, "", "recipe that the plate's values are of; NULL for rows of several plates"),
    Column("run", TEXT, "", "publication of the plate that was analysed; NULL for rows of several plates"),
    Column("analysis_recipe", TEXT, "", "recipe of the analysis"),
    Column("analysis", TEXT, "", "analysis the row belongs to, named by the hash of its publications and its recipe"),
)
_BATCH = Column("batch", TEXT, "", "batch of the plate")
TREATMENT = (
    Column("treatment", TEXT, "", "what was added"),
    Column("concentration", NUMBER, "see concentration_unit", "concentration of the treatment"),
    Column("concentration_unit", TEXT, "", "unit of the concentration"),
)
_CONTROL = Column("control", TEXT, "", "negcon, poscon, empty or trt")
_MECHANISM = Column("mechanism", TEXT, "", "mechanism of action, where the plate map says it")

PROFILES = Table(
    "profiles",
    "One row per well that took part, and one per treatment (consensus of its wells): normalised, selected and "
    "corrected features.",
    (
        *ANALYSIS_PLACE,
        Column("level", TEXT, "", "well or treatment"),
        _BATCH,
        WELL,
        TIME_POINT,
        Column("row", TEXT, "", "row of the well, A to AF"),
        Column("column", INTEGER, "", "column of the well, counted from 1"),
        *TREATMENT,
        _CONTROL,
        _MECHANISM,
        Column("cells_count", INTEGER, "", "segmented cells; NULL where nothing was segmented"),
        Column("n_replicates", INTEGER, "", "wells that a treatment's profile is of; NULL for wells"),
    ),
    feature_kind=NUMBER,
)
CONTROLS = Table(
    "controls",
    "One row per plate, kind of control and feature: what controls are like, and how far they stand apart.",
    (
        *ANALYSIS_PLACE,
        _BATCH,
        Column("feature", TEXT, "", "feature that the recipe names under hits, or the number of cells"),
        _CONTROL,
        Column("treatment", TEXT, "", "positive control; NULL for negative ones"),
        Column("n_wells", INTEGER, "", "wells with a value"),
        Column("mean", NUMBER, "the feature's", "mean of these wells"),
        Column("sd", NUMBER, "the feature's", "their standard deviation"),
        Column("median", NUMBER, "the feature's", "their median"),
        Column("mad", NUMBER, "the feature's", "their median absolute deviation, as a standard deviation"),
        Column("z_prime", NUMBER, "", "Z' factor to the plate's negative controls; NULL for these themselves"),
        Column("robust_z_prime", NUMBER, "", "the same from medians and median absolute deviations"),
        Column("ssmd", NUMBER, "", "strictly standardized mean difference to the negative controls"),
    ),
)
PROCESS_FAILURES = Table(
    "process_failures",
    "One row per site, well, row, column or plate that failed for technical reasons, and rule that found it.",
    (
        *ANALYSIS_PLACE,
        Column("level", TEXT, "", "site, well, row, column or plate"),
        WELL,
        Column("site", INTEGER, "", "site inside the well, counted from 1; NULL for all of it"),
        Column("row", TEXT, "", "row of the plate, A to AF"),
        Column("column", INTEGER, "", "column of the plate, counted from 1"),
        Column("rule", TEXT, "", "rule that found it, or decision where a person did"),
        Column("feature", TEXT, "", "metric or feature that shows it"),
        Column("value", NUMBER, "the feature's", "its value"),
        Column("limit", NUMBER, "the feature's", "the value beyond which it fails"),
        Column("evidence", TEXT, "", "what was seen, in words"),
        Column("excluded", FLAG, "", "whether the wells were left out of the analysis"),
        Column("decided_by", TEXT, "", "rule, or the person who decided"),
        Column("reason", TEXT, "", "why it was decided otherwise than by the rule"),
    ),
)
_Q = "p under the false discovery rate, and under the share of it that the criterion has where any is enough"


def _tested(criterion: str, *figures: Column) -> tuple[Column, ...]:
    """Columns of a criterion: its figures, and whether they are beyond chance; NULL where it is not in the recipe."""
    return (
        *figures,
        Column(f"{criterion}_p", NUMBER, "", "p value of that under exchanges of wells within plates"),
        Column(f"{criterion}_q", NUMBER, "", _Q),
        Column(f"{criterion}_met", FLAG, "", "whether the criterion is met; NULL where it cannot be decided"),
    )


HITS = Table(
    "hits",
    "One row per treatment and concentration: what it does, and whether that makes it a hit.",
    (
        *ANALYSIS_PLACE,
        *TREATMENT,
        _CONTROL,
        _MECHANISM,
        Column("n_replicates", INTEGER, "", "wells with this treatment that took part"),
        Column("n_plates", INTEGER, "", "plates that these are on"),
        Column("is_hit", FLAG, "", "whether it meets the recipe's criteria; NULL where nothing could be decided"),
        Column("criteria_met", TEXTS, "", "criteria that it meets"),
        Column("reason", TEXT, "", "why a criterion could not be decided; NULL where all were"),
        *_tested(
            "activity", Column("activity_map", NUMBER, "", "mean average precision of its wells against controls")
        ),
        *_tested("replication", Column("replication_correlation", NUMBER, "", "median correlation of its wells")),
        *_tested(
            "distance", Column("distance_mahalanobis", NUMBER, "", "Mahalanobis distance from the negative controls")
        ),
        *_tested(
            "effect",
            Column("effect_feature", TEXT, "", "single feature that it moves most clearly"),
            Column("effect_z", NUMBER, "", "robust z of that feature"),
            Column("effect_ssmd", NUMBER, "", "strictly standardized mean difference of it to negative controls"),
        ),
        *_tested(
            "dose_response",
            Column("dose_response_feature", TEXT, "", "single feature with the clearest dose response"),
            Column("dose_response_ec50", NUMBER, "see concentration_unit", "concentration of half the effect"),
            Column("dose_response_ec50_low", NUMBER, "see concentration_unit", "lower end of its 95 % interval"),
            Column("dose_response_ec50_high", NUMBER, "see concentration_unit", "upper end of its 95 % interval"),
        ),
        *_tested(
            "viability",
            Column("viability_z", NUMBER, "", "robust z of the number of cells"),
            Column("viability_cells_count", NUMBER, "", "median number of cells of its wells"),
        ),
        Column("nearest_mechanism", TEXT, "", "mechanism of the most similar other treatments"),
        Column("mechanism_similarity", NUMBER, "", "cosine similarity to these"),
        Column("mechanism_treatments", INTEGER, "", "how many treatments with that mechanism there are"),
    ),
)
DOSES = Table(
    "doses",
    "One row per treatment and feature that the recipe names: the curve over all concentrations.",
    (
        *ANALYSIS_PLACE,
        TREATMENT[0],
        TREATMENT[2],
        _MECHANISM,
        Column("feature", TEXT, "", "feature of the curve"),
        Column("ec50", NUMBER, "see concentration_unit", "concentration of half the effect"),
        Column("ec50_low", NUMBER, "see concentration_unit", "lower end of its 95 % interval"),
        Column("ec50_high", NUMBER, "see concentration_unit", "upper end of its 95 % interval"),
        Column("slope", NUMBER, "", "Hill slope of the curve"),
        Column("bottom", NUMBER, "MAD of negative controls", "value without treatment, of the curve"),
        Column("top", NUMBER, "MAD of negative controls", "value at full effect, of the curve"),
        Column("n_doses", INTEGER, "", "concentrations"),
        Column("n_wells", INTEGER, "", "wells"),
        Column("n_replicates", INTEGER, "", "wells of the concentration that has most"),
        Column("p", NUMBER, "", "p value of the dose response"),
        Column("q", NUMBER, "", "p under the false discovery rate"),
        Column("reason", TEXT, "", "why there is no curve; NULL where there is one"),
    ),
)
DOSE_POINTS = Table(
    "dose_points",
    "One row per treatment, feature that the recipe names, and concentration: what the curves of doses are fitted to.",
    (
        *ANALYSIS_PLACE,
        *TREATMENT,
        Column("feature", TEXT, "", "feature of the curve"),
        Column(
            "value",
            NUMBER,
            "MAD of negative controls",
            "median of the wells, above that of their plates' negative controls; as measured where there are none",
        ),
        Column("n_wells", INTEGER, "", "wells with a value"),
    ),
)
FEATURE_VARIANCE = Table(
    "feature_variance",
    "One row per selected feature and factor: the share of its variance, before batch correction and after.",
    (
        *ANALYSIS_PLACE,
        Column("feature", TEXT, "", "feature"),
        Column("factor", TEXT, "", "batch, plate, row, column, treatment or residual"),
        Column("share", NUMBER, "", "share of the variance, 0 to 1"),
        Column("reason", TEXT, "", "why there is none, or what to know of it"),
        Column("is_corrected", FLAG, "", "whether it is that after batch correction"),
    ),
)
SCORES = (
    Column("wells", INTEGER, "", "wells that took part"),
    Column("features", INTEGER, "", "features that stayed"),
    Column("treatments", INTEGER, "", "treatments and concentrations that were looked at"),
    Column("hits", INTEGER, "", "of these are hits"),
    Column("percent_replicating", NUMBER, "", "share of treatments whose replicates agree more than chance, 0 to 1"),
    Column("mean_map", NUMBER, "", "mean of the treatments' mean average precision against negative controls"),
    Column("nsc", NUMBER, "", "mechanism of the nearest treatment that is not the same compound is right, 0 to 1"),
    Column("nscb", NUMBER, "", "the same among treatments of other batches"),
    Column("silhouette_batch", NUMBER, "", "silhouette of batches: 0 when they are mixed"),
    Column("silhouette_label", NUMBER, "", "silhouette of treatments"),
    Column(
        "kbet",
        NUMBER,
        "",
        "share of wells whose neighbours are of other batches than all wells: 0.05 when mixed, up to 1",
    ),
    Column("map_batch", NUMBER, "", "mean average precision of finding a well's batch: low when batches are mixed"),
    Column("map_label", NUMBER, "", "mean average precision of finding a well's treatment: high when they separate"),
)
"""What an analysis comes to, by which recipes are compared."""
ANALYSES = Table(
    "analyses",
    "One row per analysis of an experiment: what it is made of, what it came to, and whether tables show it.",
    (
        ANALYSIS_PLACE[0],
        Column("analysis_recipe", TEXT, "", "recipe of the analysis"),
        Column("analysis", TEXT, "", "its name: the hash of its publications and its recipe"),
        Column("number", INTEGER, "", "analyses of an experiment under a recipe count from 1"),
        Column("status", TEXT, "", "analysed, or failed with the reason"),
        Column("reason", TEXT, "", "why it failed; NULL when it did not"),
        Column("analysed_at", TIME, "UTC", "when it was recorded"),
        Column("publications", TEXTS, "", "what it is made of: plate, recipe and run of each publication"),
        *SCORES,
        Column("notes", TEXTS, "", "what has to be said of it, one sentence each"),
        Column("is_current", FLAG, "", "whether it is the newest under its recipe"),
    ),
)
ANALYSIS_CHOICES = Table(
    "analysis_choices",
    "One row per choice of the analysis recipe that counts; the last of an experiment says what its tables show.",
    (
        ANALYSIS_PLACE[0],
        Column("number", INTEGER, "", "choices of an experiment count from 1"),
        Column("analysis_recipe", TEXT, "", "recipe that counts from then on"),
        Column("chosen_at", TIME, "UTC", "when that was recorded"),
        Column("is_current", FLAG, "", "whether it is the experiment's last"),
    ),
)

ANALYSED = (PROFILES, CONTROLS, PROCESS_FAILURES, HITS, DOSES, DOSE_POINTS, FEATURE_VARIANCE)
"""Tables an analysis writes, one Parquet file each."""
