"""The user's page on image quality, docs/quality.md: each metric from its own declaration, and how to use them."""

from __future__ import annotations

from imaging.measure_images import metric_column
from imaging.rules import DEFAULT_LIMITS, NUCLEUS_LIMITS, Limit, Outlier, default_outliers
from kernels.image_quality import describe_image_metrics

_NUCLEUS = "DNA"
_HEAD = """\
# Image quality

What the numbers about an image mean, when there is none, and how they become verdicts.

They are measured on pixels as the camera gave them, before any correction, and are CellProfiler's *MeasureImageQuality*
under CellProfiler's names, with five more: `PercentSaturated`, `BackgroundLevel`, `BackgroundGradient`, `PercentDebris`
and `EmptyImage`. They are found

- in the tables `images` and `images_live`, one row per image, one column per metric:
  `platestream sql "SELECT well, site, channel, PowerLogLogSlope, PercentSaturated FROM images"`;
- in what `platestream measure IMAGES --out metrics.parquet` writes for any images, one row per image set:
  `ImageQuality_PercentSaturated_DNA`, `{scaled}`. The file's schema says unit and meaning of
  each column.

Intensities are counts divided by `Scaling`: the greatest count of the image's type, 255 or 65,535, or what
`--full-scale` says. `PercentSaturated` counts pixels at the camera's own full scale: `full_scale` of the channel in
experiment.yaml, or `--full-scale`.

## Each metric
"""
_TAIL = """\

## When there is no value

Every column is always there. Where a metric has no value it is NULL, never NaN, and `not_measured` of the row says why
in words: the image is too small, too dark, missing or cannot be read. A rule passes over a NULL: what cannot be
measured is no reason to fail an image. That an image is missing or unreadable is a finding of its own.

## What to look at

| what went wrong | what shows it |
|---|---|
| out of focus | `PowerLogLogSlope` and `LocalFocusScore_5` below the plate's other wells, `Correlation_5` above |
| the camera clips | `PercentSaturated` above 0; `PercentMaximal` where the full scale is not known |
| nothing in the image | `EmptyImage` 1; `StdIntensity` close to 0 |
| dust, fibres, bubbles | `PercentDebris` |
| uneven illumination | `BackgroundGradient` |
| stray light, medium that glows | `BackgroundLevel` above that of other plates |
| exposure or stain changed | `MedianIntensity`, `ThresholdOtsu_2W` against earlier plates |

Most values depend on cells, stain and magnification, so they say little alone: sharp nuclei have a slope of -1.2 at one
magnification and -2.7 at another. Compare an image with its plate and a plate with earlier ones.

## From metrics to verdicts

Without a word in experiment.yaml these rules hold:

"""
_RULES = """\

An experiment declares its own under `analysis`. A limit takes the place of its metric's default, an outlier rule that
of the default with its metric and reference (`against`):

```yaml
analysis:
  limits:
    - {metric: PercentSaturated, channel: DNA, warn_above: 1, fail_above: 10}
    - {metric: PowerLogLogSlope, channel: DNA, fail_below: -3.2}
  outliers:
    - {metric: BackgroundLevel, side: high, warn_z: 5}
    - {metric: MedianIntensity, against: history, warn_z: 5, fail_z: 10}
```

- A **limit** (`warn_below`, `warn_above`, `fail_below`, `fail_above`) holds for each image by itself, of one `channel`
  or, where none is named, of all. It also finds a plate that is wrong throughout.
- An **outlier** rule says how many robust standard deviations (`warn_z`, `fail_z`) a value may lie from what is
  typical: an image from the wells of its plate, or, with `against: history`, the plate from the experiment's earlier
  ones. `side` says which way is wrong: low, high or both. `min_difference` asks for a difference in the metric's own
  unit besides. Why so, and how well it finds blurred wells:
  [decision 003](decisions/003-verdicts-relative-to-plate-and-history.md).

Besides these rules, an image whose pixels all have one value fails in any channel, and one that is missing or cannot be
read warns. Rules against the plate need 8 wells with a value, those against earlier plates 5 plates; what could not be
judged stands in `plates.not_judged`. Debris that is less than 4 times as bright as the field's objects is not told from
them by `PercentDebris`; large and bright, it lowers `PowerLogLogSlope` as blur does. `EmptyImage` does not see objects
below about 16 pixels, nor those less than 2 % above the background.

A site, well and plate have the verdict of the worst that is in them, and `reasons` names it with value and limit. While
a plate is being imaged, verdicts of outlier rules are provisional, as its wells are not all there. Changing a rule
measures nothing again: the next publication judges anew.
"""


def quality_markdown() -> str:
    """Describe every image metric, and how to use them, as Markdown."""
    lines = ["| metric | unit | meaning |", "|---|---|---|"]
    lines += [
        f"| `{metric.name}` | {'' if metric.unit == '1' else metric.unit} | {metric.definition} |"
        for metric in describe_image_metrics()
    ]
    head = _HEAD.format(scaled=metric_column("LocalFocusScore_20", "DNA"))
    rules = ["| metric | channel | rule |", "|---|---|---|"]
    of_nuclei = (*NUCLEUS_LIMITS, *default_outliers(_NUCLEUS))
    rules += [f"| `{rule.metric}` | all | {_in_words(rule)} |" for rule in DEFAULT_LIMITS]
    rules += [f"| `{rule.metric}` | the nuclei's | {_in_words(rule)} |" for rule in of_nuclei]
    return "\n".join([head, *lines]) + f"\n{_TAIL}" + "\n".join(rules) + f"\n{_RULES}"


def _in_words(rule: Limit | Outlier) -> str:
    """What a rule asks for, by the names that experiment.yaml has for it."""
    said = rule.model_dump(exclude={"metric", "channel"}, exclude_none=True)
    return ", ".join(
        f"`{name}: {value:g}`" if isinstance(value, float) else f"`{name}: {value}`" for name, value in said.items()
    )
