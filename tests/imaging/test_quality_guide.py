"""The user's page on image quality says the truth and is up to date."""

from __future__ import annotations

import re

import yaml

from imaging.measure_images import metrics_table
from imaging.quality_guide import quality_markdown
from imaging.rules import DEFAULT_LIMITS, NUCLEUS_LIMITS, Limit, Outlier, default_outliers
from imaging.tables import IMAGES
from kernels.image_quality import describe_image_metrics
from tests.parts import ROOT

TEXT = quality_markdown()
METRICS = {metric.name: metric for metric in describe_image_metrics()}


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "quality.md").read_text()
    assert written == TEXT, "write imaging.quality_guide.quality_markdown() to docs/quality.md"


def test_every_metric_has_its_row() -> None:
    for metric in METRICS.values():
        unit = "" if metric.unit == "1" else metric.unit
        assert f"\n| `{metric.name}` | {unit} | {metric.definition} |\n" in TEXT


def test_whatever_the_page_names_exists() -> None:
    known = {*METRICS, *(column.name for column in IMAGES.columns), "images", "images_live"}
    known |= {column.name for column in metrics_table(("DNA",)).columns} | {*Limit.model_fields, *Outlier.model_fields}
    named = set(re.findall(r"`([A-Za-z]\w*)`", TEXT))
    assert named - known == {"analysis", "full_scale"}


def test_the_rules_on_the_page_are_rules() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    declared = yaml.safe_load(block)["analysis"]
    assert [Limit.model_validate(rule).metric for rule in declared["limits"]] == [
        "PercentSaturated",
        "PowerLogLogSlope",
    ]
    assert [Outlier.model_validate(rule).against for rule in declared["outliers"]] == ["plate", "history"]


def test_the_rules_that_hold_without_a_word_are_told() -> None:
    rules = "\n| `PercentSaturated` | all | `warn_above: 1` |\n| `EmptyImage` | the nuclei's | `warn_above: 0` |\n"
    assert rules in TEXT
    assert (
        "| `PowerLogLogSlope` | the nuclei's | `against: history`, `side: low`, `warn_z: 5`, `fail_z: 10`, "
        "`min_difference: 0.5` |"
    ) in TEXT
    assert TEXT.count("| all | `") == len(DEFAULT_LIMITS)
    assert TEXT.count("| the nuclei's | `") == len(default_outliers("DNA")) + len(NUCLEUS_LIMITS)


def test_what_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)


def test_the_page_fits_an_editor() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")] == []
