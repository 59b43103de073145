"""The user's page on features, docs/features.md: every feature from its own description."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from kernels.feature import Feature
from kernels.feature_options import FeatureOptions
from kernels.features import SETS, describe_features, describe_image_features
from kernels.translocation import describe_ratios

_CHANNELS = ("DNA", "ER")
_INTRODUCTION = f"""\
# Features

Names, definitions and settings are CellProfiler's, those of the JUMP consortium's pipeline where there are settings.
`{_CHANNELS[0]}` and `{_CHANNELS[1]}` stand for any channel, and a column of `cells` and `wells` begins with its object
set: `Nuclei_`, `Cells_` or `Cytoplasm_`. The table `features` holds the same for each column of a plate.

Intensities are camera counts over the greatest of the image's type, 255 or 65,535, so that 1 is white. Lengths are in
pixels. An object that is in one set and not in another (a cell without cytoplasm) has NULL in all columns of the other.
Features are measured on images corrected for illumination where the experiment says so, on their 65,536 levels.
"""
_OPTIONAL = FeatureOptions(moments=True, intensity_zernikes=True, costes=True, slope=True)
_OTHERS = FeatureOptions(
    families=("Intensity", "Texture", "RadialDistribution"), texture_scaling="percentile", ties="first"
)


def features_markdown() -> str:
    """Describe every feature as Markdown."""
    usual = _of_objects(FeatureOptions())
    optional = [feature for feature in _of_objects(_OPTIONAL) if feature not in usual]
    others = [feature for feature in _of_objects(_OTHERS) if feature not in usual]
    ratio = [Feature(item.name.partition("_")[2], *item[1:2], *item[3:]) for item in describe_ratios(_CHANNELS[:1])]
    parts = [
        _INTRODUCTION,
        "## Of objects\n",
        *_families(usual),
        "## Of the nucleus and a ring around it\n\nThe column begins with `Cells_`.\n",
        *_families(ratio, heading=""),
        "## Of objects, where the recipe asks for them\n",
        "`recipe.features` of experiment.yaml: `moments`, `intensity_zernikes`, `costes`, `slope`.\n",
        *_families(optional),
        "## Of objects, otherwise than CellProfiler\n",
        "With `texture_scaling: percentile` and `ties: first` these take the place of their namesakes.\n",
        *_families(others),
        "## Of whole images\n",
        "In the table `image_features`, with a row per channel, names lack the channel.\n",
        *_families(describe_image_features(_CHANNELS[:1])),
    ]
    return "\n".join(parts)


def _of_objects(options: FeatureOptions) -> list[Feature]:
    """Features that any of the usual sets has, without the set."""
    described = describe_features(_CHANNELS, SETS, options)
    return list(dict.fromkeys(Feature(item.name.partition("_")[2], item.family, *item[3:]) for item in described))


def _families(features: Iterable[Feature], heading: str = "### ") -> Iterator[str]:
    """One table per family; those of the second channel say what those of the first do."""
    for family, members in itertools.groupby(features, key=lambda feature: feature.family):
        alike: dict[tuple[str, ...], list[Feature]] = {}
        for feature in members:
            if feature.channel != _CHANNELS[1]:
                alike.setdefault(_without_numbers(feature), []).append(feature)
        sources = dict.fromkeys(group[0].source for group in alike.values() if group[0].source)
        lines = [f"{heading}{family}\n"] if heading else []
        lines += [f"{'; '.join(sources)}.\n"] if sources else []
        lines += ["| feature | unit | what is measured | NULL when |", "|---|---|---|---|"]
        lines += [_row(group) for group in alike.values()]
        yield "\n".join([*lines, ""])


def _without_numbers(feature: Feature) -> tuple[str, ...]:
    name = re.sub(r"\d+", "#", feature.name) if feature.family != "AreaShape" else feature.name.partition("_0")[0]
    return name, *(re.sub(r"\d+", "#", text) for text in (feature.unit, feature.definition, feature.null_when))


def _row(group: list[Feature]) -> str:
    first, last = group[0], group[-1]
    names = f"`{first.name}`" if len(group) == 1 else f"`{first.name}` to `{last.name}` ({len(group)})"
    cells = (names, first.unit, first.definition, first.null_when)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
