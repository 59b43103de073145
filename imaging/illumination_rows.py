"""What a publication says about illumination: rows of the table, findings for the verdict, fields for later plates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imaging.illumination import VARIANTS, Illumination, Variant
from imaging.illumination_estimate import PlateEstimate, estimate_plate
from imaging.illumination_field import PlateField, encode_field
from imaging.illumination_frozen import load_frozen
from imaging.job import PlateJob
from imaging.names import stored
from imaging.verdicts import Finding
from kernels.fields import compare_fields

Row = dict[str, Any]


@dataclass(frozen=True)
class PlateIllumination:
    """A plate's own estimate, compared with the field it is corrected with.

    ``rows`` are those of the table ``illumination``; ``findings`` what is wrong with the plate.
    """

    estimate: PlateEstimate = field(default_factory=PlateEstimate)
    rows: tuple[Row, ...] = ()
    findings: tuple[Finding, ...] = ()


def measure_illumination(job: PlateJob, manifests: Sequence[Mapping[str, Any]]) -> PlateIllumination:
    """Estimate a plate's fields from its measured sites and compare them with the frozen one.

    Raises
    ------
    StoredDataError
        If the frozen field is gone or damaged.
    """
    section = job.experiment.illumination
    channels = [channel.name for channel in job.experiment.channels]
    estimate = estimate_plate(job.store, job.zarr, manifests, channels)
    frozen = job.read_frozen() if section.source != "none" and manifests else {}
    used = load_frozen(job.store, job.prefix, frozen["digest"]) if frozen.get("digest") else None
    rows = tuple(
        _row(estimate, variant, channel, used, frozen, section)
        for channel in channels
        for variant in VARIANTS
        if (variant, channel) in estimate.channels
    )
    return PlateIllumination(estimate, rows, tuple(judge_illumination(rows, frozen, section)))


def _row(
    estimate: PlateEstimate,
    variant: Variant,
    channel: str,
    used: PlateField | None,
    frozen: Mapping[str, Any],
    section: Illumination,
) -> Row:
    """A row of the table ``illumination``."""
    found, values = estimate.channels[variant, channel], used.fields.get(channel) if used else None
    drift = None
    if variant == section.variant and values is not None and values.shape == found.values.shape:
        drift = 100 * compare_fields(found.values, values)
    return {
        "channel": channel,
        "variant": variant,
        "n_sites": found.n_sites,
        "error_percent": found.error_percent,
        "field_range": float(found.values.max() / found.values.min()),
        "drift_percent": drift,
        "source": frozen.get("source", "none"),
        "frozen_from": _say_where_from(frozen.get("channels", {}).get(channel, {})),
        "frozen_digest": frozen.get("digest") if values is not None else None,
    }


def _say_where_from(said: Mapping[str, Any]) -> str | None:
    """Where a channel's field came from, in words."""
    origin = said.get("from")
    if not origin:
        return None
    if "file" in origin:
        return f"file {origin['file']}"
    if "number" in origin:
        return f"{origin['experiment']}/{origin['plate']}, {origin['recipe']}, publication {origin['number']}"
    return "the plate itself"


def judge_illumination(rows: Sequence[Row], frozen: Mapping[str, Any], section: Illumination) -> list[Finding]:
    """Findings of a plate's illumination: drift, channels without a field, a field of its own that is not well known.

    Parameters
    ----------
    rows
        Rows of the table ``illumination``.
    frozen
        The record that freezes the plate's field; empty if it is not corrected.
    section
        The declaration's section.
    """
    findings = []
    for channel, said in frozen.get("channels", {}).items():
        if "reason" in said:
            what = f"the channel is not corrected for illumination: {said['reason']}"
            findings.append(Finding("warn", "channels without a field of illumination", channel, what))
    for row in rows:
        if row["variant"] != section.variant or row["frozen_digest"] is None:
            continue
        drift, error = row["drift_percent"], row["error_percent"]
        if drift is not None and error is not None and drift - error > section.warn_drift_percent:
            what = (
                f"the plate's own field of illumination differs from the frozen one ({row['frozen_from']}) by "
                f"{drift:.3g} % (limit {section.warn_drift_percent:g} %)"
            )
            findings.append(Finding("warn", "channels with another illumination than frozen", row["channel"], what))
        if section.source == "plate" and (error is None or error > section.max_error_percent):
            known = f"uncertain by {error:.3g} %" if error is not None else "not known to come out the same twice"
            what = (
                f"the plate's own field of illumination is {known} (limit {section.max_error_percent:g} %), and the "
                "plate is corrected with it all the same"
            )
            findings.append(Finding("warn", "channels with an uncertain field of illumination", row["channel"], what))
    return findings


def write_fields(job: PlateJob, folder: str, estimate: PlateEstimate) -> dict[str, Any]:
    """Write a plate's fields under its publication's fresh folder.

    Returns
    -------
    What the publication record says of them: how well each is known, by variant and channel, and the object of each
    variant. Empty where nothing is known.
    """
    fields, known = {}, {}
    for variant in VARIANTS:
        found = estimate.field_of(variant)
        if found is None:
            continue
        data = encode_field(found)
        fields[variant] = stored(f"{folder}illumination-{variant}.npz", data)
        job.store.write(fields[variant]["key"], data)
        known[variant] = {
            channel: {"n_sites": item.n_sites, "error_percent": item.error_percent}
            for (kind, channel), item in estimate.channels.items()
            if kind == variant
        }
    return {"fields": fields, "known": known} if fields else {}
