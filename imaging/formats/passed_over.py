"""Objects of a folder that are no planes: which are meant to lie there, and which are somebody's question."""

from __future__ import annotations

import re

from imaging.formats.contract import PassedOver

_SYSTEM = re.compile(r"(?:.*/)?(?:\.[^/]*(?:/.*)?|Thumbs\.db|desktop\.ini|experiment\.ya?ml)", re.IGNORECASE)
_THUMBNAIL = re.compile(r"[^/]*(?:_thumb|thumbnail)[^/]*", re.IGNORECASE)
_IMAGE = re.compile(r"[^/]+\.(?:tiff?|png|jpe?g|jp2|jxr|bmp|gif|flex|c01|dib|stk|nd2|czi|lif|oib|oif)", re.IGNORECASE)
_NO_IMAGE = re.compile(
    r"[^/]+\.(?:txt|log|csv|tsv|xml|json|ya?ml|md|html?|pdf|docx?|xlsx?|ods|pptx?|parquet|db|mdb|sqlite|ini|cfg|htd|"
    r"scan|kineticdata|aas|mes|mlf|mrf|wpi|wpp|icr|ome|sh|py|bat|exe|md5|sha256|bak|tmp|partial)",
    re.IGNORECASE,
)


def is_system_file(name: str) -> bool:
    """Whether a path names a file of the operating system, a hidden one or experiment.yaml."""
    return _SYSTEM.fullmatch(name) is not None


def is_hidden(name: str) -> bool:
    """Whether a path or a folder in it begins with a dot."""
    return name.startswith(".") or "/." in name


def is_companion(name: str) -> bool:
    """Whether a path names what macOS lays beside a copied or archived file; it ends as the file does."""
    return "._" in name and (name.startswith("._") or "/._" in name)


def is_thumbnail(name: str) -> bool:
    """Whether a path names a small picture that an instrument lays beside an image."""
    return _THUMBNAIL.fullmatch(base_name(name)) is not None


def is_image_name(name: str) -> bool:
    """Whether a path ends as files of images do and is no thumbnail and no hidden file."""
    base = base_name(name)
    return _IMAGE.fullmatch(base) is not None and not base.startswith(".") and _THUMBNAIL.fullmatch(base) is None


def base_name(name: str) -> str:
    """Last part of a path."""
    return name.rpartition("/")[2]


def pass_over(name: str, reason: str) -> PassedOver:
    """Sort out an object that a format does not take for a plane.

    Parameters
    ----------
    name
        Its path inside the folder.
    reason
        Why its name or its manifest gives no plane; told unless it is plain that the object is no image.
    """
    if is_system_file(name):
        return PassedOver(name, "ignored", "a file of the operating system or of ours")
    base = base_name(name)
    if _THUMBNAIL.fullmatch(base):
        return PassedOver(name, "ignored", "a thumbnail")
    if _NO_IMAGE.fullmatch(base):
        return PassedOver(name, "ignored", f"a .{base.rpartition('.')[2].lower()} file, no image")
    return PassedOver(name, "unknown", reason)
