"""The first experiment.yaml: what its comments offer can be used."""

from __future__ import annotations

import pytest

from imaging.experiment import read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.initialize import FolderLook
from imaging.initialize import look_at as look_at_folder
from tests.imaging.format_folders import HeldFolder


def look_at(names: list[str]) -> FolderLook:
    folder = HeldFolder(dict.fromkeys(names, b""))
    return look_at_folder(folder.objects(), folder)


@pytest.mark.parametrize("stain", ["DAPI", "GFP"])
def test_the_rules_of_the_comments_can_be_taken_as_they_stand(stain: str) -> None:
    text = write_experiment_yaml(look_at([f"A01_s1_{stain}.tif", "A01_s1_RNA.tif"]), name="screen")
    head, rules = text.split("# analysis:\n")
    rules = "analysis:\n" + rules.replace("#   ", "   ")
    if stain == "GFP":  # nothing has nuclei to count
        rules = "".join(line for line in rules.splitlines(keepends=True) if "nuclei_count" not in line)
        rules = rules.replace("statistics: [Nuclei_AreaShape_Area]", "statistics: []")
    analysis = read_experiment(f"{head}{rules}".encode()).analysis
    focus = analysis.outliers[0]
    assert (focus.metric, focus.channel) == ("PowerLogLogSlope", "DAPI" if stain == "DAPI" else None)
    assert len(analysis.outliers) == (3 if stain == "DAPI" else 1)
    assert [limit.metric for limit in analysis.limits] == ["PercentSaturated"]


def test_the_placement_of_the_comments_can_be_taken_as_it_stands() -> None:
    text = write_experiment_yaml(look_at(["A01_s1_DAPI.tif"]), name="screen")
    rule = text[text.index("# placement:") :].split("\n\n")[0].replace("# ", "")
    placement = read_experiment(f"{text}{rule}\n".encode()).placement
    assert placement is not None
    assert placement.allowed == ("eu", "on-premises")
