"""The commands and the code of docs/predictions.md, with random weights."""

import contextlib
import csv
import json
import pathlib
import re
import shlex

import numpy as np
import pytest
import small_runs
from PIL import Image

from jaxvision import cli, inference
from jaxvision.cli import parsing

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "predictions.md"
_NAMES = ("cat", "dog", "eel", "fox")
_PATHS = [f"path/to/images/{name}/1.png" for name in _NAMES]


def _blocks(language):
  text = _PAGE.read_text("utf-8")
  return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The folder of the images, and the run that the commands open."""
  rng = np.random.default_rng(0)
  for path in _PATHS:
    (tmp_path / path).parent.mkdir(parents=True)
    pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / path)
  monkeypatch.chdir(tmp_path)
  run = small_runs.run_of("linear", names=_NAMES)
  monkeypatch.setattr(parsing, "open_source", lambda _: run)
  monkeypatch.setattr(inference, "load_run", lambda _: run)
  return tmp_path


def _run(line):
  """Runs a command in this process; its stdout goes to the file after ">"."""
  command, _, path = line.partition(" > ")
  program, *words = shlex.split(command)
  assert program == "jaxvision"
  if not path:
    assert cli.main(words) == 0, line
    return
  with (
    open(path, "w", encoding="utf-8") as file,
    contextlib.redirect_stdout(file),
  ):
    assert cli.main(words) == 0, line


def _table(path):
  with open(path, encoding="utf-8", newline="") as file:
    return list(csv.DictReader(file))


def test_the_commands_and_the_code_run(folder):
  script, _ = _blocks("bash")
  for line in script.splitlines():
    _run(line)
  rows, shares = _table("predictions.csv"), _table("probabilities.csv")
  found = json.loads(pathlib.Path("predictions.json").read_text("utf-8"))
  for table in (rows, shares, found):
    assert [each["image"] for each in table] == _PATHS
  assert list(shares[0]) == ["image", *_NAMES, "error"]
  for row, share, each in zip(rows, shares, found, strict=True):
    best = max(_NAMES, key=lambda name: float(share[name]))
    assert row["class_1"] == each["top"][0]["class"] == best
    assert row["probability_1"] == share[best]
  counted, in_python, _ = _blocks("python")
  names = {}
  exec(counted, names)
  assert sum(names["counts"].values()) == len(_PATHS)
  exec(in_python, names)
  (of_one,) = names["found"]
  assert of_one["image"] == _PATHS[0]
  assert {
    each["class"]: str(each["probability"]) for each in of_one["probabilities"]
  } == {name: shares[0][name] for name in _NAMES}


def test_the_commands_and_the_code_with_views_run(folder, capsys):
  _, script = _blocks("bash")
  for line in script.splitlines():
    _run(line)
  said = capsys.readouterr()
  assert said.out.startswith("mean of 2 views: original and mirrored\n")
  assert "mean of 10 views: five crops of 16x16 from 18x18" in said.out
  assert '"tta": "flip,crops"' in said.out
  names = {"inference": inference}
  exec(_blocks("python")[2], names)
  (of_one,) = names["averaged"]
  plain = inference.predict(inference.load_run(""), [_PATHS[0]], top=None)
  assert of_one["image"] == _PATHS[0] and of_one != plain[0]
  shares = [each["probability"] for each in of_one["probabilities"]]
  assert sum(shares) == pytest.approx(1)


def test_the_json_is_json():
  (text,) = _blocks("json")
  assert [list(each) for each in json.loads(text)] == [
    ["image", "top"],
    ["image", "error"],
  ]
