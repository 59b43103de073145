"""The user's page on image quality says the truth and is up to date."""

from __future__ import annotations

import re

import yaml

from imaging.experiment import Limit
from imaging.measure_images import metrics_table
from imaging.quality_guide import quality_markdown
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
    known = {*METRICS, *(column.name for column in IMAGES.columns), *Limit.model_fields, "images", "images_live"}
    known |= {column.name for column in metrics_table(("DNA",)).columns}
    named = set(re.findall(r"`([A-Za-z]\w*)`", TEXT))
    assert named - known == {"analysis", "full_scale"}


def test_the_rules_on_the_page_are_rules() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    limits = [Limit.model_validate(limit) for limit in yaml.safe_load(block)["analysis"]["limits"]]
    assert [limit.metric for limit in limits] == ["PercentSaturated", "PowerLogLogSlope"]


def test_the_page_fits_an_editor() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")] == []
