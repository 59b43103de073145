"""Formats of instruments: which objects of a folder are which planes, and what manifests say should come."""

from __future__ import annotations

from imaging.formats.contract import Format

FORMATS: dict[str, Format] = {}
"""Formats that are known, by their word in experiment.yaml."""
