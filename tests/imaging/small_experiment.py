"""A made-up experiment for its page: plates of two batches, treatments of five mechanisms at six doses, cells drawn.

Values come from formulas and a seeded generator, so that each test knows what the page must say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.gallery import HitGallery, Pictures, build_gallery
from imaging.analyses.page import plate_page_link
from imaging.analyses.report import ExperimentReport, ReportCount
from imaging.wells import Well, parse_well

HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=2</script>'
MECHANISMS = {
    "microtubule destabilizer": ("nocodazole", "vincristine", "colchicine", "demecolcine"),
    "actin disruptor": ("cytochalasin B", "latrunculin B", "cytochalasin D"),
    "DNA damage": ("etoposide", "camptothecin", "doxorubicin", "mitomycin C"),
    "proteasome inhibitor": ("MG-132", "bortezomib", "lactacystin"),
    "kinase inhibitor": ("staurosporine", "PP-2", "SB-202190", "AZ-J"),
}
INERT = tuple(f"compound {number}" for number in range(1, 13))
DOSES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
PLATES = tuple(f"BR0011{number}" for number in range(70, 78))
RECIPE = "v1-0123abcd"
CHANNELS = (("DNA", "#3b6cff"), ("Actin", "#ff5a3c"), ("Tubulin", "#35c759"))
CRITERIA = {"activity": "mAP against the negative controls, FDR 5 %", "distance": "Mahalanobis distance, FDR 5 %"}
PICTURE_PX = 120


def treatments() -> list[tuple[str, str, int]]:
    """Name, mechanism and strength (0 for none, else 1 to 4) of each treatment."""
    active = [(name, moa, 1 + i % 4) for moa, names in MECHANISMS.items() for i, name in enumerate(names)]
    return [*active, *((name, "", 0) for name in INERT)]


def potency(strength: int, place: int) -> float:
    """EC50 of a treatment in µM."""
    return 0.1 * 3 ** (place % 4) / max(1, strength) ** 0.5


def hits() -> pd.DataFrame:
    """One row per treatment and dose."""
    rng = np.random.default_rng(1)
    rows = []
    for place, (name, moa, strength) in enumerate(treatments()):
        for dose in DOSES:
            size = strength * 2.6 / (1 + (potency(strength, place) / dose) ** 1.4) + rng.normal(0, 0.25)
            score = float(np.clip(0.16 + 0.11 * size + rng.normal(0, 0.02), 0.02, 1.0))
            met = [each for each, is_met in (("activity", score > 0.42), ("distance", size > 3.0)) if is_met]
            rows.append(
                {
                    "treatment": name,
                    "concentration": dose,
                    "unit": "µM",
                    "mechanism": moa or None,
                    "n_replicates": 4,
                    "is_hit": bool(met),
                    "criteria": met,
                    "map": score,
                    "q": float(np.clip(0.6 * np.exp(-1.1 * size), 1e-4, 0.98)),
                    "distance": abs(size) * 3.1 + 2,
                    "effect": size * 1.9,
                    "ssmd": size * 1.2,
                    "viability": -size * 0.9 if moa in ("DNA damage", "proteasome inhibitor") else rng.normal(0, 0.4),
                    "nearest": [f"{moa} (0.{80 - place})"] if moa and met else [],
                    "reason": None if met else "no criterion is met",
                }
            )
    rows.append({"treatment": "compound 99", "concentration": 1.0, "unit": "µM", "n_replicates": 1, "is_hit": None})
    rows[-1]["reason"] = "one replicate; a decision needs 2"
    return pd.DataFrame(rows)


def doses() -> pd.DataFrame:
    """Responses of two features, fitted where there is a response."""
    rng = np.random.default_rng(2)
    rows = []
    for feature, sign in (("Nuclei_AreaShape_Area", 1.0), ("Cells_Texture_Contrast_Actin", -1.0)):
        for place, (name, _, strength) in enumerate(treatments()):
            ec50 = potency(strength, place)
            fit: dict[str, Any] = {"reason": "the response is no larger than the noise of the controls"}
            if strength:
                fit = {"ec50": ec50, "low": ec50 / 1.6, "high": ec50 * 1.7, "hill": 1.4}
                fit |= {"bottom": 0.0, "top": sign * strength * 2.0}
            for dose in DOSES:
                level = sign * strength * 2.0 / (1 + (ec50 / dose) ** 1.4)
                rows += [
                    {"treatment": name, "feature": feature, "concentration": dose, "unit": "µM"}
                    | {"value": level + rng.normal(0, 0.3)}
                    | fit
                    for _ in range(2)
                ]
    return pd.DataFrame(rows)


def wells() -> pd.DataFrame:
    """Wells of all plates: controls at the sides, treatments between them, two plates for all of them."""
    names = [(name, dose) for name, _, _ in treatments() for dose in DOSES]
    rows = []
    for number, plate in enumerate(PLATES):
        half = names[(number % 2) * len(names) // 2 :][: len(names) // 2]
        for row in range(8):
            rows.append((plate, str(Well(row, 1)), "DMSO", np.nan, "negcon"))
            rows.append((plate, str(Well(row, 24)), "taxol", np.nan, "poscon"))
        for place, (name, dose) in enumerate(half):
            rows.append((plate, str(Well(place % 8, 2 + place // 8)), name, dose, "trt"))
    return pd.DataFrame(rows, columns=["plate", "well", "treatment", "concentration", "control"])


def points() -> pd.DataFrame:
    """Where the profile of each well lies: each mechanism goes its own way."""
    rng = np.random.default_rng(3)
    ways = {name: (moa, strength) for name, moa, strength in treatments()}
    angles = {moa: 2 * np.pi * place / len(MECHANISMS) + 0.4 for place, moa in enumerate(MECHANISMS)}
    frame = wells()
    places = []
    for name, dose, control in frame[["treatment", "concentration", "control"]].itertuples(index=False):
        moa, strength = ways.get(name, ("", 0))
        size = 9.0 if control == "poscon" else strength * 3.0 / (1 + (0.5 / dose) ** 1.2) if strength else 0.0
        angle = angles.get(moa, -0.6)
        places.append((size * np.cos(angle) + rng.normal(0, 0.8), size * np.sin(angle) + rng.normal(0, 0.8)))
    return frame.assign(x=[x for x, _ in places], y=[y for _, y in places])


def charts() -> pd.DataFrame:
    """Control wells of each plate; the sixth drifts out of the limits."""
    rng = np.random.default_rng(4)
    rows = []
    for feature, level in (("FocusScore DNA", 0.8), ("Cells_Count", 210.0), ("Nuclei_Intensity_Mean_DNA", 0.21)):
        for number, plate in enumerate(PLATES):
            value = level * (1 + rng.normal(0, 0.015) - (0.12 if number == 5 else 0.0))
            rows.append({"plate": plate, "time": f"2026-03-0{1 + number // 3}T{8 + number:02d}:30:00+00:00"})
            rows[-1] |= {"feature": feature, "mean": value, "centre": level, "low": level * 0.94, "high": level * 1.06}
            rows[-1]["signal"] = "one point beyond three standard deviations" if number == 5 else None
    return pd.DataFrame(rows)


def variance() -> pd.DataFrame:
    """Shares of variance of forty features."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(40):
        parts = rng.dirichlet((4, 2 + number % 3, 1.5, 1, 5))
        name = f"{('Nuclei', 'Cells', 'Cytoplasm')[number % 3]}_Texture_{number}"
        factors = ("treatment", "batch", "plate", "position", "residual")
        rows += [{"feature": name, "factor": f, "share": part} for f, part in zip(factors, parts, strict=True)]
    return pd.DataFrame(rows)


def mixing() -> pd.DataFrame:
    """Methods side by side; the recipe uses sphering."""
    rows = [
        ("none", 0.31, 0.08, 0.78, 0.41, 0.36, None, None),
        ("robust z per plate", 0.09, 0.14, 0.39, 0.24, 0.47, None, None),
        ("sphering", 0.02, 0.19, 0.17, 0.17, 0.56, True, "regularisation 0.03, chosen on held-out controls"),
        ("TVN", 0.03, 0.17, 0.20, 0.18, 0.53, None, None),
        ("Harmony", -0.01, 0.15, 0.12, 0.15, 0.49, None, None),
    ]
    names = ["method", "silhouette_batch", "silhouette_label", "kbet", "map_batch", "map_label", "counts", "notes"]
    return pd.DataFrame(rows, columns=names)


def failures() -> pd.DataFrame:
    """One of each level."""
    rows = [
        (PLATES[5], "plate", None, None, "drift", "focus of the controls is 12 % lower than of all plates", False),
        (
            PLATES[2],
            "row",
            "H01",
            None,
            "pattern",
            "row H is 4.1 MAD above the plate after two-way median polish",
            False,
        ),
        (PLATES[2], "column", "A24", None, "pattern", "column 24 is 5.6 MAD below the plate", True),
        (
            PLATES[0],
            "well",
            "C05",
            None,
            "debris",
            "the share of saturated pixels is 7.2 %, 15 times the controls'",
            True,
        ),
        (PLATES[1], "well", "D09", None, "replicates", "its profile correlates -0.12 with its three replicates", True),
        (PLATES[3], "site", "B11", 3, "focus", "the image of DNA looks blurred; the other sites are sharp", True),
    ]
    frame = pd.DataFrame(rows, columns=["plate", "level", "well", "site", "rule", "evidence", "excluded"])
    frame["decided_by"] = [None, "Ada", None, None, None, None]
    frame["reason"] = [None, "known and harmless", None, None, None, None]
    return frame


def plates() -> pd.DataFrame:
    """The plates with their verdicts."""
    verdicts = ["pass", "pass", "warn", "pass", "pass", "fail", "pass", None]
    return pd.DataFrame(
        {
            "plate": PLATES,
            "batch": [f"week {1 + number // 4}" for number in range(len(PLATES))],
            "verdict": verdicts,
            "z_prime": [0.71, 0.66, 0.43, 0.69, 0.58, -0.12, 0.64, None],
            "page": [plate_page_link(plate, RECIPE) for plate in PLATES],
            "published_at": [f"2026-03-0{1 + number // 3}T1{number}:05:09+00:00" for number in range(len(PLATES))],
        }
    )


def leaderboard() -> pd.DataFrame:
    """Four recipes."""
    rows = [
        ("standard", 0.46, 0.88, 0.56, 0.02, 64, None, None, True),
        ("zscore", 0.43, 0.825, 0.47, 0.09, 58, ["AZ-J 3 µM"], ["PP-2 1 µM", "lactacystin 0.3 µM"], None),
        ("tvn", 0.45, 0.86, 0.53, 0.03, 61, [], ["PP-2 1 µM"], None),
        ("harmony", 0.44, 0.84, 0.49, -0.01, 60, ["AZ-J 1 µM", "AZ-J 3 µM"], ["SB-202190 1 µM"], None),
    ]
    names = ["recipe", "percent_replicating", "mechanism_recall", "map_label", "silhouette_batch", "hits", "gained"]
    return pd.DataFrame(rows, columns=[*names, "lost", "counts"])


def small_report(**changes: Any) -> ExperimentReport:
    """The whole report, some of it changed."""
    found = hits()
    parts: dict[str, Any] = {
        "experiment": "dose response 2026",
        "analysis": "a1b2c3d4e5f6",
        "recipe": "standard-3fa9c2d4",
        "verdict": "warn",
        "reasons": ("1 of 8 plates does not pass", "control wells of BR001175 are out of their limits"),
        "counts": (
            ReportCount("Hits", int((found["is_hit"] == True).sum()), len(found)),  # noqa: E712 - None is neither
            ReportCount("Plates", len(PLATES)),
            ReportCount("Wells", len(wells())),
            ReportCount("Features", 412, 1838),
            ReportCount("Failures", 6),
        ),
        "notes": ("412 of 1,838 features were selected.",),
        "explained": (0.312, 0.141),
        "criteria": CRITERIA,
        "hits": found,
        "doses": doses(),
        "charts": charts(),
        "failures": failures(),
        "variance": variance(),
        "mixing": mixing(),
        "plates": plates(),
        "points": points(),
        "leaderboard": leaderboard(),
    }
    return ExperimentReport(**parts | changes)


def draw_well(plate: str, well: str) -> Pictures:
    """Cells of a well, uint16 camera counts: fewer, rounder or brighter with the treatment's mechanism."""
    found = wells()
    [(name, dose, control)] = found.loc[
        (found["plate"] == plate) & (found["well"] == well), ["treatment", "concentration", "control"]
    ].itertuples(index=False)
    moa = next((moa for each, moa, _ in treatments() if each == name), "")
    size = 0.0 if control == "negcon" else min(1.0, float(dose) / 3 if control == "trt" else 1.0)
    place = parse_well(well)
    rng = np.random.default_rng([PLATES.index(plate), place.row, place.column])
    y, x = np.mgrid[:PICTURE_PX, :PICTURE_PX].astype(float)
    planes = {channel: np.full((PICTURE_PX, PICTURE_PX), 180.0) for channel, _ in CHANNELS}
    few = 0.7 * size if moa in ("DNA damage", "proteasome inhibitor") else 0.2 * size
    for _ in range(max(3, int(26 * (1 - few)))):
        cy, cx = rng.uniform(6, PICTURE_PX - 6, 2)
        far2 = (y - cy) ** 2 + (x - cx) ** 2
        nucleus = 5.0 + (2.5 * size if moa == "DNA damage" else 0)
        cell = 11.0 - (4.0 * size if "microtubule" in moa else 0)
        planes["DNA"] += 1500 * np.exp(-far2 / (2 * nucleus**2)) * (1 + 0.6 * size)
        planes["Actin"] += 900 * (1 - (0.7 * size if moa == "actin disruptor" else 0)) * np.exp(-far2 / (2 * cell**2))
        planes["Tubulin"] += 1100 * (1 + (0.9 * size if "microtubule" in moa else 0)) * np.exp(-far2 / (2 * cell**2))
    return {
        name: np.clip(plane + rng.normal(0, 12, plane.shape), 0, 65535).astype(np.uint16)
        for name, plane in planes.items()
    }


def small_gallery(most: int = 24) -> HitGallery:
    """Pictures of the first hits."""
    return build_gallery(hits(), wells(), draw_well, channels=CHANNELS, most=most)


def large_report(n_treatments: int = 2354, n_wells: int = 9216) -> ExperimentReport:
    """As many treatments and wells as a large screen has, with long names."""
    rng = np.random.default_rng(6)
    names = [f"BRD-K{rng.integers(10**7, 10**8)}-001-{number:02d}-1" for number in range(n_treatments // 6 + 1)]
    treatment = [names[i // 6] for i in range(n_treatments)]
    dose = [(0.04, 0.12, 0.37, 1.11, 3.33, 10.0)[i % 6] for i in range(n_treatments)]
    scores = rng.beta(1, 4, n_treatments)
    table = pd.DataFrame({"treatment": treatment, "concentration": dose, "unit": "uM", "map": scores})
    table["mechanism"] = [f"inhibitor of target {number % 120}" for number in range(n_treatments)]
    table["n_replicates"] = 5
    table["is_hit"] = scores > 0.5
    table["criteria"] = [["activity", "distance"] if hit else [] for hit in table["is_hit"]]
    table["reason"] = [None if hit else "no criterion is met" for hit in table["is_hit"]]
    for name in ("q", "distance", "effect", "ssmd", "viability"):
        table[name] = rng.normal(0, 3, n_treatments)
    curves = table[["treatment", "concentration", "unit"]].assign(
        feature="Cells_Count", value=rng.normal(0, 1, n_treatments)
    )
    curves["reason"] = "the response is no larger than the noise of the controls"
    place = rng.integers(0, n_treatments, n_wells)
    plate = [f"SQ000{15000 + i // 384}" for i in range(n_wells)]
    dots = pd.DataFrame({"x": rng.normal(0, 9, n_wells), "y": rng.normal(0, 9, n_wells), "plate": plate})
    dots["well"] = [str(Well(i % 384 // 24, i % 24 + 1)) for i in range(n_wells)]
    dots["treatment"] = [treatment[i] for i in place]
    dots["concentration"] = [dose[i] for i in place]
    dots["control"] = ["negcon" if i % 16 == 0 else "trt" for i in range(n_wells)]
    return ExperimentReport(
        "large", hits=table, doses=curves, points=dots, plates=pd.DataFrame({"plate": sorted(set(plate))})
    )
