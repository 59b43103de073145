"""Every feature of the golden site against CellProfiler's own value: columns within tolerance, by family."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.results_file import write_result
from kernels.feature_options import FeatureOptions
from kernels.features import measure_features
from tests.accuracy import TOLERANCES, Agreement, compare
from tests.golden import CHANNELS, SETS, read_image_values, read_labels, read_planes, read_values

ALL = FeatureOptions(moments=True, intensity_zernikes=True, costes=True)
_IMAGE_FAMILIES = ("Texture_", "Granularity_", "Intensity_")


def compare_site() -> dict[str, dict[str, Agreement]]:
    """Measure the golden site with CellProfiler's labels, and compare each object set and the images."""
    planes = dict(zip(CHANNELS, read_planes(), strict=True))
    measured = measure_features(planes, dict(zip(SETS, read_labels(), strict=True)), ALL)
    found = {name: compare(measured.objects[name].columns, read_values(name)) for name in SETS}
    theirs = {
        name: np.array([value])
        for name, value in read_image_values().items()
        if name.startswith(_IMAGE_FAMILIES) and "BackgroundOnly" not in name
    }
    found["Image"] = compare({name: np.array([value]) for name, value in measured.images.items()}, theirs)
    return found


def main() -> None:
    """Print the table and write the results."""
    found = compare_site()
    rows: list[dict[str, Any]] = []
    for objects, families in found.items():
        for family, agreement in families.items():
            rows.append({"objects": objects, "family": family, "tolerance": TOLERANCES[family]} | asdict(agreement))
            print(
                f"{objects:10s} {family:20s} {agreement.within:4d} of {agreement.columns:4d} columns, "
                f"worst {agreement.worst:.1e}"
            )
            for name, fault in list(agreement.outside.items())[:8]:
                print(f"    {name}: {fault}")
    write_result("accuracy", {"rows": rows})


if __name__ == "__main__":
    main()
