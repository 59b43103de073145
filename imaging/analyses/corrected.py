"""What a correction gives: profiles, what is to be known of them, and which of them it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imaging.analyses.profiles import Profiles


@dataclass(frozen=True, eq=False)
class Corrected:
    """Corrected profiles, what is to be known, and details.

    Parameters
    ----------
    profiles
        The wells as given, in the same order.
    notes
        Sentences.
    details
        Always ``fitted``: which profiles the transform knows better than others, shape ``(profiles,)``, bool. These are
        closer to each other than they should be, so treatments must not be compared with them. Of sphering and TVN also
        ``regularization`` and ``held_out_variance``; of Harmony ``dimensions``.
    """

    profiles: Profiles
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
