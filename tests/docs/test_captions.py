"""The commands of docs/captions.md run, on small data sets."""

import json
import pathlib
import re
import shlex

import captioned_files
import pytest

from jaxvision import cli

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "captions.md"


def _blocks(language):
  text = _PAGE.read_text("utf-8")
  return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the files that the commands name."""
  captioned_files.coco(tmp_path / "coco")
  captioned_files.flickr8k(tmp_path / "flickr8k")
  captioned_files.beside(tmp_path / "photos")
  results = [
    {"image_id": 40 + i, "caption": each[0]}
    for i, each in enumerate(captioned_files.CAPTIONS)
  ]
  (tmp_path / "results.json").write_text(json.dumps(results))
  # The only image of the split "test".
  (tmp_path / "captions.json").write_text('{"43": "A paintbrush."}')
  for name in ("hypotheses", "first", "second"):
    (tmp_path / f"{name}.txt").write_text(f"A {name} cat.\nA dog.\n")
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_the_commands_run(folder, capsys):
  for line in "".join(_blocks("bash")).splitlines():
    if "dataset_coco.json" in line:
      captioned_files.karpathy(folder / "coco")
    else:  # two files of captions in one folder are refused
      (folder / "coco" / "dataset_coco.json").unlink(missing_ok=True)
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  printed = capsys.readouterr().out
  assert "validation: 5 images" in printed and "caption (text)" in printed
  assert printed.count("tok:coco") == 4


def test_python_runs():
  (code,) = _blocks("python")
  names = {}
  exec(code, names)
  assert set(names["scores"]) == {
    *("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")
  }
  assert 0 < names["corpus"].score < 1 and 0 < names["sentence"].score < 1
  assert names["rouge"]["rouge1"].f1 == 0.75
