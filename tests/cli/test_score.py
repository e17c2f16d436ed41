"""The command `jaxvision score`."""

import json

import pytest
from text_corpus import HYPOTHESES, REFERENCES

from jaxvision import cli


@pytest.fixture
def paths(tmp_path):
  found = {"h": dict(enumerate(HYPOTHESES)), "r": dict(enumerate(REFERENCES))}
  for name, content in found.items():
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
  return [str(tmp_path / "h.json"), str(tmp_path / "r.json")]


def test_all_scores_and_signatures_are_printed(paths, capsys):
  assert cli.main(["score", *paths]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "3 images, 3 references for each"
  values = dict(line.split() for line in lines if line.startswith("  "))
  assert values == {
    "bleu1": "0.9545",
    "bleu2": "0.7764",
    "bleu3": "0.5322",
    "bleu4": "0.3281",
    "rouge_l": "0.8113",
    "cider": "2.4613",
    "sacrebleu": "0.3281",
    "rouge1": "0.7873",
    "rouge2": "0.4418",
    "rougeL": "0.7873",
    "rougeLsum": "0.7873",
  }
  (line,) = (line for line in lines if line.startswith("sacrebleu "))
  assert "nrefs:3|case:mixed|eff:no|tok:13a|smooth:exp|version:" in line


def test_json(paths, capsys):
  assert cli.main(["score", *paths, "--json"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert found["images"] == 3 and found["references"] == [3, 3]
  assert found["cider"] == pytest.approx(2.4612877514, abs=1e-10)
  assert "|tok:coco|smooth:none|" in found["signatures"]["coco"]


def test_empty_captions_are_counted(paths, capsys):
  with open(paths[0], "w", encoding="utf-8") as file:
    json.dump({0: "", 1: "a dog", 2: "..."}, file)
  assert cli.main(["score", *paths]) == 0
  assert "empty captions, which score 0: 1, of 0\n" in capsys.readouterr().out


def test_the_help_names_predictions(capsys):
  with pytest.raises(SystemExit):
    cli.main(["score", "--help"])
  assert "predict --json" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["--split", "test"], "r.json has no splits, but --split is 'test'"),
    (["no.json"], "no.json"),
  ],
)
def test_mistakes_are_one_clear_line(words, expected, paths, capsys):
  assert cli.main(["score", *paths, *words]) == 2
  error = capsys.readouterr().err
  assert error.startswith("jaxvision: ") and error.count("\n") == 1
  assert expected in error
