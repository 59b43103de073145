"""Made profiles: plates of noise with controls, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.profiles import Profiles, complete_wells


def make_profiles(
    *,
    plates: int = 3,
    controls: int = 8,
    treatments: int = 6,
    features: int = 5,
    rank: int = 0,
    plate_shift: float = 0.0,
    plates_per_batch: int = 2,
    seed: int = 0,
) -> Profiles:
    """Normal noise; ``rank`` factors of descending strength correlate the features; each plate is shifted."""
    rng = np.random.default_rng(seed)
    wells = controls + treatments
    n = plates * wells
    values = rng.normal(size=(n, features))
    if rank:
        loadings = rng.normal(size=(rank, features)) * np.linspace(1.5, 0.2, rank)[:, None]
        values += rng.normal(size=(n, rank)) @ loadings
    values += np.repeat(rng.normal(size=(plates, features)) * plate_shift, wells, axis=0)
    numbers = np.arange(wells)
    frame = pd.DataFrame(
        {
            "experiment": "made",
            "batch": [f"week {plate // plates_per_batch + 1}" for plate in range(plates) for _ in numbers],
            "plate": [f"P{plate + 1:02d}" for plate in range(plates) for _ in numbers],
            "well": [f"{chr(65 + k // 12)}{k % 12 + 1:02d}" for _ in range(plates) for k in numbers],
            "treatment": np.tile(["DMSO"] * controls + [f"T{k + 1:02d}" for k in range(treatments)], plates),
            "concentration": 1.0,
            "control": ["negcon" if k < controls else "trt" for _ in range(plates) for k in numbers],
            "time_point": 1.0,
        }
    )
    return Profiles(values, tuple(f"Cells_F{i:03d}" for i in range(features)), complete_wells(frame))


def shuffle(profiles: Profiles, seed: int = 1) -> tuple[Profiles, np.ndarray]:
    """The same profiles in another order, and the positions that bring a result back."""
    order = np.random.default_rng(seed).permutation(len(profiles))
    return profiles.take(order), np.argsort(order)


def as_frame(profiles: Profiles) -> pd.DataFrame:
    """A frame as pycytominer takes it, metadata columns named ``Metadata_...``."""
    metadata = profiles.wells.add_prefix("Metadata_")
    return pd.concat([metadata, pd.DataFrame(profiles.values, columns=list(profiles.features))], axis=1)
