"""The scripts in examples/ run, print what they should, and write their pictures."""

import runpy
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from matplotlib import pyplot
from PIL import Image

SCRIPTS = {
    "photo_colors": (
        ["15872256 pixels of 172540 colors, reduced to 16:", "#1f2506   17.6 %"],
        {"photo_reduced.png", "photo_palette.png", "photo_cloud.png"},
    ),
    "iris_as_in_r": (
        ["sizes 62, 50, 38", "(between_SS / total_SS =  88.4 %)", "inertia 78.85144", "89.3% of the flowers", "0.730"],
        {"iris_clusters.png", "iris_choose_k.png", "iris_silhouette.png"},
    ),
    "five_points_by_hand": (
        ["sum of squares 15.75", "7.833 of 59.6 is left", "ab + cde at 4.47", "ab + cde at 8.49", "ab + cde at 6.61"],
        {"five_points_steps.png", "five_points_cells.png", "five_points_trees.png"},
    ),
    "nci60": (
        ["four clusters of 40 7 8 9", "four clusters of 61 1 1 1", "LEUKEMIA       0   0   6   0"],
        {"nci60_clusters.png", "nci60_silhouette.png", "nci60_tree.png"},
    ),
    "medoids_by_hand": (
        ["clusters of 5 3", "(4, 5) and (8, 5) costs 20", "(4, 5) and (8, 4) costs 22", "cost 18"],
        {"medoids.png"},
    ),
}


def test_every_script_is_listed():
    assert {path.stem for path in (REPOSITORY / "examples").glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, tmp_path, monkeypatch, capsys):
    lines, pictures = SCRIPTS[name]
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "made")])
    runpy.run_path(str(REPOSITORY / "examples" / f"{name}.py"), run_name="__main__")
    pyplot.close("all")
    shown = capsys.readouterr().out
    for line in lines:
        assert line in shown
    assert {path.name for path in (tmp_path / "made").iterdir()} == pictures
    for path in (tmp_path / "made").iterdir():
        with Image.open(path) as picture:
            assert np.ptp(np.asarray(picture.convert("L"))) > 100
