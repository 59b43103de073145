"""The page on features says what the kernels say of themselves."""

from __future__ import annotations

from imaging.feature_guide import features_markdown
from kernels.feature_options import FAMILIES
from tests.parts import ROOT

TEXT = features_markdown()


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "features.md").read_text()
    assert written == TEXT, "write imaging.feature_guide.features_markdown() to docs/features.md"


def test_every_family_has_its_table() -> None:
    for family in FAMILIES:
        assert f"### {family}\n" in TEXT
    for name in (
        "AreaShape_Zernike_9_9",
        "Parent_Nuclei",
        "RadialDistributionFirst_FracAtD_DNA_1of4",
        "TexturePercentile_",
    ):
        assert name in TEXT


def test_a_bar_in_a_definition_does_not_end_its_cell() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert rows
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)
