"""Channels of a first experiment.yaml, as manifests, headers and names tell them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imaging.formats.contract import ToldChannel
from imaging.image_headers import ImageHeader

_NUCLEAR = re.compile(r"dapi|hoechst|h33342|\bdna\b|draq5|nucle[iua]|h2b", re.IGNORECASE)
_WHOLE_CELL = re.compile(r"\brna\b|syto|cellmask|cytoplasm", re.IGNORECASE)
_ROLE_WORDS = (("nucleus", _NUCLEAR), ("cell", _WHOLE_CELL))


@dataclass(frozen=True, slots=True)
class GuessedChannel:
    """A channel as it is told; ``is_measured`` is false where the full scale is a guess."""

    name: str
    code: str
    role: str
    full_scale: int
    is_measured: bool
    emission_nm: float | None = None
    excitation_nm: float | None = None
    exposure_s: float | None = None


def guess_channels(told: Iterable[ToldChannel], headers: Mapping[str, ImageHeader]) -> tuple[GuessedChannel, ...]:
    """Channels in the order of their codes; at most one nucleus and one cell channel.

    Parameters
    ----------
    told
        Channels as a manifest tells them.
    headers
        A header of each channel of which an image is there, by code.

    Returns
    -------
    All of both. A stain is what the manifest, the header or the code says; one that two channels share names neither.
    """
    manifest = {channel.code: channel for channel in told}
    codes = sorted({*manifest, *headers}, key=_by_number)
    known = {code: manifest.get(code) or ToldChannel(code) for code in codes}
    seen = {code: headers.get(code) or ImageHeader() for code in codes}
    stains = {code: known[code].name or seen[code].stain or ("" if code.isdecimal() else code) for code in codes}
    names = {code: _name(stain, code) for code, stain in stains.items()}
    names |= _apart(names)
    scales = {code: known[code].full_scale or seen[code].full_scale for code in codes}
    usual = {scale for scale in scales.values() if scale is not None}
    channels: list[GuessedChannel] = []
    for code in codes:
        stain, name = stains[code], names[code]
        if name == _name("", code):
            stain = ""
        roles = {channel.role for channel in channels}
        full_scale = scales[code]
        channels.append(
            GuessedChannel(
                name=name,
                code=code,
                role=next((role for role, words in _ROLE_WORDS if words.search(stain) and role not in roles), "other"),
                full_scale=full_scale or (next(iter(usual)) if len(usual) == 1 else 65535),
                is_measured=full_scale is not None,
                emission_nm=known[code].emission_nm or seen[code].emission_nm,
                excitation_nm=known[code].excitation_nm,
                exposure_s=known[code].exposure_s or seen[code].exposure_s,
            )
        )
    return tuple(channels)


def _apart(names: Mapping[str, str]) -> dict[str, str]:
    """Names by their codes of channels whose names others have too, or are called like a channel without a stain."""
    plain = {code: _name("", code) for code in names}
    counts = Counter(name.casefold() for name in names.values())
    numbered = {name.casefold() for name in plain.values()}
    return {
        code: plain[code]
        for code, name in names.items()
        if counts[name.casefold()] > 1 or (name.casefold() in numbered and name.casefold() != plain[code].casefold())
    }


def _name(stain: str, code: str) -> str:
    """A stain's name in letters, digits and ``_``; a channel without one is named by its code."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", stain).strip("_")[:30].strip("_")
    if not plain:
        return re.sub(r"[^A-Za-z0-9]+", "_", f"Channel{code}")[:40]
    return plain if plain[0].isalpha() else f"Channel_{plain}"


def _by_number(code: str) -> tuple[int, str]:
    return (int(code), code) if code.isdecimal() and len(code) < 10 else (10**9, code)
