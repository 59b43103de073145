"""The recipe of an analysis: every parameter that its values depend on, as YAML.

A section left out, or a key without a value, has its default; ``none`` switches a step off. The file's hash names the
analysis together with the publications that it is made of.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from imaging.declared import Declared, Texts, explain_faults, one_or_many, spell_faults
from imaging.errors import ConfigurationError
from imaging.names import check_name, hash_of
from imaging.plain_yaml import read_plain_yaml

ANALYSIS_NUMBERS_VERSION = 2
"""Raised by one whenever the same profiles and the same recipe give other values than before."""

Group = Literal["plate", "batch", "experiment"]


class Annotate(Declared):
    """Which columns of the wells, of the plate map or of a profiles file say what a well is; of several the first."""

    plate: Texts = Field(default=("plate",), description="columns with the plate's name")
    well: Texts = Field(default=("well",), description="columns with the well such as B03")
    batch: Texts = Field(
        default=("batch",), description="columns with the batch; where there is none, all plates are one batch"
    )
    batch_pattern: str | None = Field(
        default=None, max_length=500, description="a regular expression with the group batch, found in the plate's name"
    )
    treatment: Texts = Field(default=("treatment",), description="columns with the treatment")
    concentration: Texts = Field(default=("concentration",), description="columns with its concentration")
    concentration_unit: Texts = Field(
        default=("concentration_unit",), description="columns with the unit of concentrations"
    )
    mechanism: Texts = Field(default=("moa", "mechanism"), description="columns with the mechanism of action")
    control: Texts = Field(default=("control",), description="columns with negcon, poscon, empty or trt")
    cells_count: Texts = Field(default=("cells_count",), description="columns with the number of cells")
    negative_controls: Texts = Field(default=(), description="treatments that are negative controls, such as [DMSO]")
    positive_controls: Texts = Field(default=(), description="treatments that are positive controls")
    features: Texts = Field(
        default=(), description="columns that are features of a profiles file; left out, every number"
    )
    metadata: Texts = Field(default=(), description="columns of a profiles file that are no features")

    @field_validator("batch_pattern")
    @classmethod
    def _finds_batches(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "(?P<batch>)").groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression ({error}), got {pattern!r}") from None
        if "batch" not in groups:
            raise ValueError(f"must have a group batch, such as '^(?P<batch>Week[0-9]+)_', got {pattern!r}")
        return pattern


class Filter(Declared):
    """Which wells take part."""

    verdicts: Texts = Field(default=("pass", "warn"), description="quality verdicts of wells that take part")
    least_cells: int = Field(default=0, ge=0, description="wells with fewer cells do not take part")
    failures: Literal["exclude", "keep"] = Field(default="exclude", description="what becomes of process failures")
    time_point: int | None = Field(
        default=None, ge=1, description="time point that is analysed; left out, the last that a plate has"
    )


class Normalize(Declared):
    """How wells become comparable."""

    method: Literal["mad_robustize", "standardize", "inverse_normal", "spherize", "none"] = Field(
        default="mad_robustize", description="mad_robustize, standardize, inverse_normal, spherize or none"
    )
    to: Literal["negcon", "all"] = Field(default="negcon", description="which wells are the measure: negcon or all")
    by: Group = Field(default="plate", description="within a plate, a batch or the whole experiment")
    clip: float | None = Field(default=None, gt=0, description="greatest absolute value; beyond it values are cut")

    def needs_controls_of(self, group: Group) -> bool:
        """Whether negative controls of each such group are the measure."""
        return self.method != "none" and self.to == "negcon" and self.by == group


Operation = Literal["variance", "correlation", "missing", "blocklist", "outliers", "replicates"]


class Select(Declared):
    """Which features stay."""

    operations: Annotated[tuple[Operation, ...], BeforeValidator(one_or_many)] = Field(
        default=("missing", "variance", "correlation", "outliers"),
        description="operations in their order; none for all features",
    )
    correlation: float = Field(default=0.9, gt=0, le=1, description="of features correlated more than this one stays")
    missing: float = Field(default=0.05, ge=0, le=1, description="greatest share of wells without a value")
    frequency: float = Field(
        default=0.05, ge=0, le=1, description="second most frequent value over the most frequent, at least"
    )
    unique: float = Field(default=0.01, ge=0, le=1, description="share of different values, at least")
    outliers: float = Field(default=500.0, gt=0, description="features with a greater absolute value go")
    replicates: float = Field(default=0.2, ge=-1, le=1, description="least correlation between replicates")

    @field_validator("operations", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return () if value in ("none", ["none"], ("none",)) else value


class Correct(Declared):
    """How what batches and plates do to profiles is removed."""

    method: Literal["none", "sphering", "tvn", "harmony"] = Field(
        default="none", description="none, sphering, tvn or harmony"
    )
    by: Group = Field(default="batch", description="what is to be removed: plate or batch")
    regularization: float | None = Field(
        default=None,
        gt=0,
        description="of sphering and TVN, in units of the mean eigenvalue; left out, chosen on held-out controls",
    )
    held_back: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of negative controls that sphering and TVN are not fitted on, for comparisons",
    )
    dimensions: int = Field(default=50, ge=1, description="principal components that Harmony corrects")
    seed: int = Field(default=0, ge=0, description="seed of Harmony's clusters")


class Consensus(Declared):
    """How replicates become one profile of a treatment."""

    by: Texts = Field(default=("treatment", "concentration"), description="wells equal in these columns are replicates")
    method: Literal["median", "modz", "mean"] = Field(default="median", description="median, modz or mean")


FailureRule = Literal[
    "focus", "saturation", "debris", "cell_loss", "pattern", "replicates", "controls", "plate", "drift", "sites"
]


class Failures(Declared):
    """When a well, site, row, column or plate is a process failure; ``none`` switches all rules off."""

    rules: Annotated[tuple[FailureRule, ...], BeforeValidator(one_or_many)] = Field(
        default=(
            "focus",
            "saturation",
            "debris",
            "cell_loss",
            "pattern",
            "replicates",
            "controls",
            "plate",
            "drift",
            "sites",
        ),
        description="rules that are applied; none for no rule",
    )
    limit: float = Field(
        default=5.0,
        gt=0,
        description="robust standard deviations beyond which something failed, at least; see the docs",
    )

    @field_validator("rules", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return () if value in ("none", ["none"], ("none",)) else value


Criterion = Literal["activity", "replication", "distance", "effect", "dose_response", "viability"]


class HitCriteria(Declared):
    """When a treatment is a hit."""

    criteria: Annotated[tuple[Criterion, ...], BeforeValidator(one_or_many)] = Field(
        default=("activity", "distance"), min_length=1, description="criteria that are evaluated"
    )
    needed: Literal["all", "any"] = Field(default="any", description="whether a hit meets all of the criteria or any")
    fdr: float = Field(default=0.05, gt=0, lt=1, description="false discovery rate, over all criteria that are tests")
    null: Literal["wells", "ranks"] = Field(
        default="wells",
        description="null distribution of activity: wells exchanged within plates, or ranks as copairs draws them",
    )
    permutations: int = Field(default=10_000, ge=100, le=1_000_000, description="size of the null distributions")
    seed: int = Field(default=0, ge=0, description="seed of the null distributions")
    features: Texts = Field(default=(), description="features that single-feature effects and dose responses are of")
    effect: float = Field(default=3.0, gt=0, description="least absolute robust z of a single feature")
    ssmd: float = Field(default=2.0, gt=0, description="least absolute SSMD of a single feature")
    viability: float = Field(
        default=-4.0, description="robust z of the cell count below which a treatment is cytotoxic"
    )
    least_replicates: int = Field(default=2, ge=2, description="replicates that a decision needs")

    @property
    def rate(self) -> float:
        """The false discovery rate that each criterion is held to: its share of it, where any of them is enough."""
        return self.fdr / len(self.criteria) if self.needed == "any" else self.fdr


class AnalysisRecipe(Declared):
    """The whole recipe of an analysis."""

    name: str = Field(default="standard", description="name of the recipe")
    annotate: Annotate = Annotate()
    filter: Filter = Filter()
    normalize: Normalize = Normalize()
    select: Select = Select()
    correct: Correct = Correct()
    consensus: Consensus = Consensus()
    failures: Failures = Failures()
    hits: HitCriteria = HitCriteria()

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        return check_name("recipe", name)

    @property
    def needs_controls(self) -> bool:
        """Whether an experiment without negative controls cannot be analysed."""
        return (self.normalize.method != "none" and self.normalize.to == "negcon") or bool(self.hits.criteria)

    @property
    def id(self) -> str:
        """Name and hash: ``standard-3fa9c2d4``; equal for files that mean the same."""
        tree = self.model_dump(mode="json", exclude={"name"})
        return f"{self.name}-{hash_of([ANALYSIS_NUMBERS_VERSION, tree])[:8]}"


def read_analysis_recipe(data: bytes, *, name: str, place: str) -> AnalysisRecipe:
    """Read the YAML file of an analysis recipe.

    Parameters
    ----------
    data
        The file.
    name
        The recipe's name where the file gives none.
    place
        The file's name in messages.

    Raises
    ------
    ConfigurationError
        With every fault of the file in ``problems``, each beginning with its place.
    """
    document = read_plain_yaml(data)
    problems = list(document.problems)
    tree = {} if document.tree is None else document.tree
    if not problems and not isinstance(tree, dict):
        problems.append("the file must be a mapping such as `normalize: {method: standardize}`")
    if not problems:
        try:
            return AnalysisRecipe.model_validate({"name": name} | tree)
        except ValidationError as error:
            problems += spell_faults(explain_faults(error, AnalysisRecipe), document.lines)
    count = f"{len(problems)} fault{'s' if len(problems) != 1 else ''}"
    raise ConfigurationError(f"{place} has {count}", tuple(problems))
