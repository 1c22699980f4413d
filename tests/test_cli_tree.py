"""`fastcluster-ext tree`."""

import json

import numpy as np
import pytest
from PIL import Image

from fastcluster_ext import image_linkage
from fastcluster_ext.cli import main


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (9, 3), dtype=np.uint8)[rng.integers(0, 9, (20, 30))]


@pytest.fixture
def photo(tmp_path, pixels):
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_cuts_and_dendrogram_are_written(photo, pixels, tmp_path, capsys):
    output = tmp_path / "made" / "out"
    assert main(["tree", str(photo), "-k", "2,4,8", "-o", str(output), "--method", "average"]) == 0
    tree = image_linkage(pixels, "average")
    printed = capsys.readouterr().out
    assert "30 x 20 pixels, 9 colors, average linkage" in printed
    assert "linkage " in printed
    for k in (2, 4, 8):
        assert f"{k} colors: mean squared error" in printed
        with Image.open(output / f"photo-{k}.png") as written:
            np.testing.assert_array_equal(np.asarray(written.convert("RGB")), tree.cut(k).image)
    with Image.open(output / "photo-dendrogram.png") as drawn:
        assert drawn.width > 500


def test_json_and_default_cuts(photo, pixels, capsys):
    assert main(["tree", str(photo), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["seconds"]) == {"read", "histogram", "linkage"}
    assert [cut["k"] for cut in report["cuts"]] == [2, 4, 8]
    tree = image_linkage(pixels)
    assert [cut["inertia"] for cut in report["cuts"]] == [tree.cut(k).inertia for k in (2, 4, 8)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "none.png: no such file"),
        (["photo.png", "-k", "2,10"], "photo.png: -k 10 is more than the 9 colors of the image"),
        (["photo.png", "--skip-transparent"], "skip_transparent needs an alpha channel"),
        (["photo-4.png", "-k", "4", "-o", "."], "photo-4.png is the image to read; choose another folder"),
        (["photo.png", "-k", "4", "-o", "photo.png/x"], "cannot be written"),
    ],
)
def test_errors_are_one_line(arguments, message, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo-4-4.png").symlink_to(tmp_path / "photo-4.png")
    (tmp_path / "photo-4.png").write_bytes(photo.read_bytes())
    assert main(["tree", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastcluster-ext: ")
    assert message.replace("photo-4.png is", "photo-4-4.png is") in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [[], ["a.png", "-k", "2,x"], ["a.png", "-k", ""], ["a.png", "--method", "none"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["tree", *arguments])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err
