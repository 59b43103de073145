"""All targets by name, as the short and the long form try them."""

from __future__ import annotations

from tests.fuzz import asked, declarations, folders, pixels, stored
from tests.fuzz.promise import Target

TARGETS: dict[str, Target] = {
    target.name: target for module in (pixels, folders, declarations, stored, asked) for target in module.TARGETS
}
