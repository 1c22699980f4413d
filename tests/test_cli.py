"""The command line: what it prints, what it writes, and how it fails."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fastcluster_ext import quantize
from fastcluster_ext.cli import main
from fastcluster_ext.cli._shared import Progress


def picture(seed=0, size=(20, 30), colors=9):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (colors, 3), dtype=np.uint8)[rng.integers(0, colors, size)]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path)
    return path


def test_quantize_prints_the_palette_and_writes_the_image(photo, tmp_path, capsys):
    output, palette = tmp_path / "out.png", tmp_path / "out.gpl"
    assert main(["quantize", str(photo), "-k", "4", "-o", str(output), "--palette", str(palette)]) == 0
    expected = quantize(picture(), 4, random_state=0)
    printed = capsys.readouterr().out
    for code, share in zip(expected.hex, expected.percent, strict=True):
        assert f"{code}  {share:6.2f} %" in printed
    for stage in ("read", "histogram", "kmeans", "labels", "write"):
        assert f"{stage} " in printed
    assert f"inertia {expected.inertia:.6g}" in printed
    assert "\x1b" not in printed  # no colors where nobody can see them
    with Image.open(output) as written:
        assert written.mode == "P"
        np.testing.assert_array_equal(np.asarray(written.convert("RGB")), expected.image)
    assert palette.read_text() == expected.to_gpl("photo")


def test_json(photo, capsys):
    assert main(["quantize", str(photo), "-k", "3", "--json", "--seed", "7"]) == 0
    report = json.loads(capsys.readouterr().out)
    expected = json.loads(quantize(picture(), 3, random_state=7).to_json())
    assert report["image"] == str(photo)
    assert set(report["seconds"]) == {"read", "histogram", "kmeans", "labels"}
    assert {key: report[key] for key in expected} == expected


def test_several_files_and_a_folder(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
    (folder / "notes.txt").write_text("no picture")
    output = tmp_path / "made" / "here"
    assert main(["quantize", str(folder), "-k", "2", "-o", str(output), "--json"]) == 0
    assert [report["k"] for report in json.loads(capsys.readouterr().out)] == [2, 2, 2]
    assert sorted(path.name for path in output.iterdir()) == ["0.png", "1.png", "2.png"]


def test_one_bad_file_does_not_stop_the_others(photo, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["quantize", str(tmp_path / "none.png"), str(photo), "-k", "2", "-o", str(output)]) == 1
    assert "none.png: no such file" in capsys.readouterr().err
    assert (output / "photo.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "none.png: no such file"),
        (["text.png"], "not an image"),
        (["photo.png", "-k", "10"], "photo.png: -k 10 is more than the 9 colors of the image"),
        (["photo.png", "-k", "2", "-o", "none/out.png"], "none/out.png: cannot be written"),
        (["photo.png", "-k", "2", "-o", "out.nonsense"], "out.nonsense: cannot be written: unknown file extension"),
        (["photo.png", "-k", "2", "--palette", "none/out.gpl"], "none/out.gpl: cannot be written"),
        (["photo.png", "photo.png", "-k", "2", "--palette", "out.gpl"], "--palette takes one image"),
        (["photo.png", "photo.png", "-k", "2", "-o", "photo.png/x"], "cannot make the folder"),
        (["photo.png", "-k", "2", "--skip-transparent"], "skip_transparent needs an alpha channel"),
        (["cut.png", "-k", "2"], "cut.png: cannot be read"),
        (["empty"], "no images in empty"),
        (["photo.png", "-o", "."], "photo.png is one of the images to read; choose another folder"),
        (["photo.png", "more/photo.jpg", "-o", "out"], "would both be written to out/photo.png"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(arguments, message, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:-200])
    (tmp_path / "empty").mkdir()
    (tmp_path / "more").mkdir()
    Image.fromarray(picture()).save(tmp_path / "more" / "photo.jpg")
    before = photo.read_bytes()
    assert main(["quantize", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("fastcluster-ext: ")
    assert "Traceback" not in error
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["quantize"],
        ["quantize", "a.png", "-k", "0"],
        ["quantize", "a.png", "-k", "x"],
        ["quantize", "a.png", "-k", "70000"],
        ["quantize", "a.png", "--seed", "-1"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_guard_against_decompression_bombs_stays_on(photo, monkeypatch, capsys):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    assert main(["quantize", str(photo), "-k", "2"]) == 1
    assert "decompression bomb" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_swatches_on_a_terminal_unless_refused(photo, monkeypatch):
    for refused in (False, True):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.delenv("NO_COLOR", raising=False)
        if refused:
            monkeypatch.setenv("NO_COLOR", "1")
        assert main(["quantize", str(photo), "-k", "2"]) == 0
        assert ("\x1b[48;2;" in terminal.getvalue()) is not refused


def test_progress_is_shown_on_a_terminal_and_wiped():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream, "photo.png")
        if progress.shown:
            progress.show("iteration 3")
        progress.clear()
    assert "photo.png: iteration 3" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == ""


@pytest.mark.parametrize(("command", "shown"), [("quantize", "iteration 1, centers moved"), ("tree", "% of ")])
def test_commands_show_progress_on_a_terminal_only(command, shown, photo, monkeypatch):
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        monkeypatch.setattr(sys, "stderr", stream)
        assert main([command, str(photo), "-k", "2"]) == 0
    assert shown in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == ""


def test_demo(photo, tmp_path, capsys):
    output = tmp_path / "demo"
    assert main(["demo", "--image", str(photo), "-k", "5", "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    for words in ("k-means on all pixels, k = 5", "histogram", "inertia", "NumPy, 600 pixels, 5 iterations"):
        assert words in printed
    expected = quantize(picture(), 5, random_state=0).image
    with Image.open(output / "recolored.png") as recolored:
        np.testing.assert_array_equal(np.asarray(recolored.convert("RGB")), expected)
    with Image.open(output / "side-by-side.png") as both:
        np.testing.assert_array_equal(np.asarray(both), np.hstack([picture()[::4, ::4], expected[::4, ::4]]))


def test_info_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "fastcluster_ext", "info", "--json"], check=True, capture_output=True, text=True
    )
    assert {"instruction set", "compiler", "OpenMP", "threads by default"} <= set(json.loads(run.stdout))


def test_a_reader_that_goes_away_is_no_error(photo):
    command = f"{sys.executable} -m fastcluster_ext quantize {photo} -k 9 | head -n 1"
    run = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert run.stdout.startswith(str(photo))
    assert run.stderr == ""
