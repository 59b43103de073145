"""The figures of a load as a table that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def load_table(figures: Mapping[str, Any]) -> str:
    """Set the figures of one load as a table in Markdown."""
    rows = list(_rows(figures))
    width = max(len(name) for name, _ in rows)
    lines = [f"| {name:<{width}} | {value} |" for name, value in rows]
    return "\n".join([f"| {'measured':<{width}} | value |", f"|{'-' * (width + 2)}|---|", *lines])


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    options = figures["options"]
    yield "server's database, store", f"{options['database']}, {options['store']}"
    yield (
        "plates, in bursts of",
        f"{figures['plates_published']} of {options['plates']} ({figures['ended']}), {options['burst']}",
    )
    yield "plates an hour", f"{figures['plates_per_hour']:g}"
    yield "runs started per plate (mean, most)", "{mean:g}, {max}".format(**figures["runs_per_plate"])
    yield "events that asked for a run, per plate", f"{figures['asked_per_plate']:g}"
    yield "how runs ended", ", ".join(f"{number} {state.lower()}" for state, number in figures["run_states"].items())
    yield "API calls, events per plate", f"{figures['api_calls_per_plate']:g}, {figures['events_per_plate']:g}"
    yield "CPU seconds per plate", ", ".join(f"{name} {value:g}" for name, value in figures["cpu_s_per_plate"].items())
    for name, value in figures["growth_per_plate"].items():
        kind = name.removesuffix("_rss_kb")
        if name == "database_gb_per_week":
            yield "database, growth in a week of 4,000 plates", f"{value:g} GB"
        elif name == "database_kb":
            yield "database, growth per plate", f"{value:g} kB"
        else:
            yield f"memory of {kind}, growth per plate", f"{value:g} kB"
    yield "memory at the end", ", ".join(f"{name} {value:.0f} MB" for name, value in figures["rss_mb"]["last"].items())
    yield "most memory of a run", f"{figures['run_peak_rss_mb']:g} MB"
    for name, words in (
        ("queue_s", "last image to start of run"),
        ("upload_to_publication_s", "last image to publication"),
    ):
        if figures[name]:
            yield f"{words} (median, 95 %, longest)", "{median:g}, {p95:g}, {max:g} s".format(**figures[name])
    if storage := figures.get("storage"):
        counted = storage["requests_per_plate"].items()
        yield "requests to the bucket per plate", ", ".join(f"{verb} {number:g}" for verb, number in counted)
        yield "their price per 1,000 plates", f"{storage['usd_per_1000_plates']:g} USD"
