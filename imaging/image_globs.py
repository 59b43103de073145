"""Which files of a folder are which channel, and which belong together: globs whose wildcards name the image set.

DNA=*_w1.tif  RNA=*_w2.tif       plate_B03_s1_w1.tif and plate_B03_s1_w2.tif are the set plate_B03_s1
DNA=**/dna/*.tif                 ** stands for any number of folders; what it matches is part of the set's name
DNA=*_w1[!_]*.tif                [..] matches one character without naming; so does a GUID, which no two files share
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from imaging.errors import ConfigurationError

_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOKEN = re.compile(r"(?P<any>[*?]+)|\[(?P<not>[!^]?)(?P<class>\]?[^\]]*)\]|(?P<text>.)", re.DOTALL)
_COMPARED = 5_000
"""Names that a glob without a match is compared with."""


def pair_files(names: Sequence[str], globs: Mapping[str, str], *, of: str = "channels") -> dict[str, dict[str, str]]:
    """Form image sets of the files that match.

    Parameters
    ----------
    names
        Paths of files inside a folder, with ``/``. Hidden ones (``.name``) are passed over.
    globs
        Glob by channel.
    of
        What the globs are of, for sentences; label images have one for each of their ``object sets``.

    Returns
    -------
    Files by set and channel, sets in natural order (``A2`` before ``A10``), channels in the order of ``globs``. The
    name of a set is what the wildcards matched, joined by ``/``; it is empty where there is no wildcard. A set may lack
    channels.

    Raises
    ------
    ConfigurationError
        If a glob matches nothing, a file belongs to two channels, two files are one channel of one set, or no set has
        more than one of several channels: all problems at once.
    """
    seen = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    sets: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    owner: dict[str, str] = {}
    for channel, glob in globs.items():
        pattern, matched, doubles = _compile(channel, glob), 0, []
        for name in seen:
            found = pattern.fullmatch(name)
            if found is None:
                continue
            matched += 1
            key = _key(found)
            if owner.setdefault(name, channel) != channel:
                doubles.append(f"{name} is {owner[name]} as well as {channel}; make one glob narrower")
            elif channel in (files := sets.setdefault(key, {})):
                doubles.append(
                    f"{files[channel]} and {name} are both {channel} of the image set {key!r}; make the glob {glob} "
                    "narrower, or let * or ? match where they differ"
                )
            else:
                files[channel] = name
        problems += _shortened(doubles)
        if not matched:
            problems.append(f"{channel}={glob} matches none of {len(seen):,} files{_hint(channel, glob, seen)}")
    if not problems and len(globs) > 1 and all(len(files) == 1 for files in sets.values()):
        first = {channel: next(files[channel] for files in sets.values() if channel in files) for channel in globs}
        examples = ", ".join(f"{channel} {name}" for channel, name in first.items())
        problems.append(
            f"no two {of} have an image set in common ({examples}); what * and ? match must agree, so write out "
            f"what differs between {of}"
        )
    if problems:
        raise ConfigurationError(f"the globs of the {of} do not fit the folder", tuple(problems))
    return {key: sets[key] for key in sorted(sets, key=natural)}


def _compile(channel: str, glob: str) -> re.Pattern[str]:
    """Turn a glob into a pattern whose groups are what ``*``, ``?`` and ``**`` match."""
    if glob.startswith("/") or ".." in glob.split("/"):
        raise ConfigurationError(f"{channel}={glob}: a glob is a path inside IMAGES: neither / at its start nor ..")
    *folders, last = [part for part in glob.split("/") if part not in ("", ".")] or [""]
    pieces = [r"(?:(.+)/)?" if part == "**" else _translate(part) + "/" for part in folders]
    try:
        return re.compile("".join(pieces) + ("(.+)" if last == "**" else _translate(last)), re.DOTALL)
    except re.error as error:
        raise ConfigurationError(f"{channel}={glob}: the glob cannot be read: {error.msg}") from error


def _translate(part: str) -> str:
    """Turn what stands between two slashes into a pattern."""
    return "".join(_piece(token) for token in _TOKEN.finditer(re.sub(r"\*+", "*", part)))


def _piece(token: re.Match[str]) -> str:
    if token["any"]:
        return "(" + "".join("[^/]*" if wildcard == "*" else "[^/]" for wildcard in token["any"]) + ")"
    if token["class"]:
        characters = re.sub(r"(?<=.-)-|[\\\[\]^&~|]", r"\\\g<0>", token["class"])
        return f"(?!/)[{'^' if token['not'] else ''}{characters}]"
    return re.escape(token[0])


def _key(found: re.Match[str]) -> str:
    """What the wildcards matched, GUIDs left out."""
    unique = {place for guid in _GUID.finditer(found.string) for place in range(*guid.span())}
    spans = (found.span(group) for group in range(1, len(found.groups()) + 1))
    texts = ("".join(found.string[place] for place in range(*span) if place not in unique) for span in spans)
    return "/".join(text for text in texts if text)


def natural(key: str) -> list[tuple[bool, int, str]]:
    """Order by numbers where there are numbers."""
    parts = re.split(r"(\d+)", key)
    return [(place % 2 == 0, int(part) if place % 2 else 0, part) for place, part in enumerate(parts)]


def _shortened(problems: list[str]) -> list[str]:
    return problems[:1] if len(problems) < 2 else [f"{problems[0]} (and {len(problems) - 1:,} more)"]


def _hint(channel: str, glob: str, names: Sequence[str]) -> str:
    """What would match, or comes closest."""
    any_case = re.compile(_compile(channel, glob).pattern, re.DOTALL | re.IGNORECASE)
    for name in filter(any_case.fullmatch, names):
        return f"; with other capital letters it would match {name}"
    deeper = f"**/{glob}"
    for name in filter(_compile(channel, deeper).fullmatch, names):
        return f"; {deeper} would match {name}"
    close = difflib.get_close_matches(glob, names[:_COMPARED], n=3, cutoff=0.0)
    return f"; the closest {'is' if len(close) == 1 else 'are'} {', '.join(close)}" if close else ""
