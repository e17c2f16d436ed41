"""`jaxvision predict`: its forms of output, for tasks with random weights."""

import csv
import io
import json
import logging
import os

import numpy as np
import pytest
import small_runs
from PIL import Image

from jaxvision import cli, inference
from jaxvision.cli import parsing, prediction_rows

SIDE = 16


@pytest.fixture
def images(tmp_path):
  """Two image files of noise."""
  rng = np.random.default_rng(0)
  paths = [tmp_path / f"{number}.png" for number in range(2)]
  for path in paths:
    pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
  return [str(path) for path in paths]


@pytest.fixture
def broken(tmp_path):
  """A file that is not an image."""
  path = tmp_path / "broken.png"
  path.write_bytes(b"no image")
  return str(path)


@pytest.fixture
def predict(monkeypatch, capsys):
  """A function: words of the command -> (exit code, text on stdout)."""

  def run(*words, task="classification", names=small_runs.NAMES):
    opened = small_runs.run_of("linear", task, names)
    monkeypatch.setattr(parsing, "open_source", lambda _: opened)
    code = cli.main(["predict", "--workdir", "run", *words])
    return code, capsys.readouterr().out

  return run


def _table(text):
  """The rows of CSV text, by column."""
  first, *rows = csv.reader(io.StringIO(text, newline=""))
  assert len(set(first)) == len(first)
  return [dict(zip(first, row, strict=True)) for row in rows]


def _expected(task, paths):
  """The answers (k,) for each image, from the logits, in plain numpy."""
  run = small_runs.run_of("linear", task)
  pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
  pixels = (pixels / 255 - small_runs.MEAN) / small_runs.STD
  logits = run.model.apply(
    run.variables, pixels.astype(np.float32), train=False
  )
  logits = np.asarray(logits, np.float64)
  if task == "regression":
    return logits
  if task == "multilabel":
    return 1 / (1 + np.exp(-logits))
  shares = np.exp(logits - logits.max(1, keepdims=True))
  return shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_a_row_has_the_classes_by_rank(task, predict, images):
  code, text = predict("--csv-wide", "--top", "2", *images, task=task)
  rows = _table(text)
  assert code == 0
  for row, path, shares in zip(
    rows, images, _expected(task, images), strict=True
  ):
    first, second = np.argsort(-shares)[:2]
    assert list(row.values())[1::2] == [
      small_runs.NAMES[first],
      small_runs.NAMES[second],
      "",
    ]
    assert float(row["probability_1"]) == pytest.approx(shares[first], abs=1e-5)
    assert row["image"] == path
  assert list(rows[0]) == [
    *("image", "class_1", "probability_1", "class_2", "probability_2", "error")
  ]


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_probabilities_are_of_all_classes_in_the_order_of_the_model(
  task, predict, images
):
  expected = _expected(task, images)
  _, text = predict("--csv-wide", "--probabilities", *images, task=task)
  rows = _table(text)
  assert list(rows[0]) == ["image", *small_runs.NAMES, "error"]
  table = [[float(row[name]) for name in small_runs.NAMES] for row in rows]
  np.testing.assert_allclose(table, expected, atol=1e-5)
  _, text = predict("--json", "--probabilities", *images, task=task)
  found = json.loads(text)
  for each, shares in zip(found, table, strict=True):
    assert list(each) == ["image", "probabilities"]
    listed = [tuple(item.values()) for item in each["probabilities"]]
    assert listed == list(zip(small_runs.NAMES, shares, strict=True))
  _, text = predict("--probabilities", images[0], task=task)
  said = [line.split()[-1] for line in text.splitlines()[1:]]
  assert said == list(small_runs.NAMES)


def test_a_regression_has_a_column_per_number(predict, images):
  _, text = predict("--csv-wide", *images, task="regression")
  rows = _table(text)
  assert list(rows[0]) == ["image", *small_runs.NAMES, "error"]
  table = [[float(row[name]) for name in small_runs.NAMES] for row in rows]
  expected = _expected("regression", images)
  np.testing.assert_allclose(table, expected, atol=1e-4)


@pytest.mark.parametrize(
  ("task", "words"),
  [
    ("classification", ["--csv-wide"]),
    ("classification", ["--csv-wide", "--top=3"]),
    ("classification", ["--csv-wide", "--probabilities"]),
    ("classification", ["--csv"]),
    ("regression", ["--csv-wide"]),
  ],
)
def test_columns_do_not_depend_on_the_images(
  task, words, predict, images, broken
):
  """Also if no image can be read; the error is in its own column."""
  code, text = predict(*words, broken, images[0], task=task)
  alone, empty = predict(*words, broken, task=task)
  assert code == alone == 2
  first, *_ = _table(text)
  assert _table(empty) == [first]
  assert first.pop("image") == broken
  assert first.pop("error").startswith("not an image")
  assert first and set(first.values()) == {""}


@pytest.mark.parametrize("form", ["--csv-wide", "--csv", "--json"])
def test_messages_are_not_among_the_results(
  form, images, broken, monkeypatch, capfd
):
  def opened(_):
    logging.getLogger("jaxvision").warning("images: a message")
    return small_runs.run_of("linear")

  monkeypatch.setattr(parsing, "open_source", opened)
  words = ["predict", "--workdir", "run", form, *images, broken]
  assert cli.main(words) == 2
  said = capfd.readouterr()
  assert said.err == (
    "images: a message\njaxvision: 1 of 3 could not be read\n"
  )
  if form == "--json":
    found = [each["image"] for each in json.loads(said.out)]
  else:
    first, *rows = csv.reader(io.StringIO(said.out))
    assert {len(row) for row in rows} == {len(first)}
    found = list(dict.fromkeys(row[0] for row in rows))
  assert found == [*images, broken]


def test_names_of_files_survive(predict, images, tmp_path):
  """Exactly; but control characters and bytes are escaped in CSV."""
  names = ["a,b", 'say "a"', "two\nlines", "tab\tstop", "=1", "\u732b", " x "]
  escaped = {b"byte\xff": r"byte\xff", b"red\x1b[31m": r"red\x1b[31m"}
  paths = [os.fsencode(f"{tmp_path}/{each}.png") for each in names]
  paths += [os.fsencode(f"{tmp_path}/") + each + b".png" for each in escaped]
  with open(images[0], "rb") as file:
    content = file.read()
  for path in paths:
    with open(path, "wb") as file:
      file.write(content)
  words = [*map(os.fsdecode, paths)]
  _, text = predict("--csv-wide", "--top=1", *words)
  text.encode("utf-8")  # no surrogates
  expected = [f"{tmp_path}/{each}.png" for each in [*names, *escaped.values()]]
  assert [row["image"] for row in _table(text)] == expected
  assert "\x1b" not in text
  _, text = predict("--json", *words)
  found = [os.fsencode(each["image"]) for each in json.loads(text)]
  assert found == paths and "\x1b" not in text


def test_no_cell_is_a_formula(predict, images, tmp_path, monkeypatch):
  """Also a name in the working folder; with its folder the name is exact."""
  monkeypatch.chdir(tmp_path)
  os.rename(images[0], tmp_path / "=1.png")
  names = ("=cat()", "@bee", "-", "+1")
  _, text = predict(
    *("--csv-wide", "--probabilities", "=1.png", f"{tmp_path}/=1.png"),
    names=names,
  )
  rows = _table(text)
  assert list(rows[0]) == ["image", "'=cat()", "'@bee", "'-", "+1", "error"]
  assert [row["image"] for row in rows] == ["'=1.png", f"{tmp_path}/=1.png"]


def test_columns_have_different_names(predict, images):
  """A class may have the name of another one, or of a column."""
  names = ("crane", "image", "crane", "error")
  _, text = predict("--csv-wide", "--probabilities", *images, names=names)
  columns = ["crane[0]", "image[1]", "crane[2]", "error[3]"]
  rows = _table(text)
  assert list(rows[0]) == ["image", *columns, "error"]
  expected = _expected("classification", images)
  table = [[float(row[name]) for name in columns] for row in rows]
  np.testing.assert_allclose(table, expected, atol=1e-5)


def test_a_captioner_has_a_caption_per_row():
  found = [
    {"image": "a", "top": [{"caption": "A cat, asleep.", "probability": 0.5}]},
    {"image": "b", "error": "not an image"},
  ]
  assert list(prediction_rows.per_image(found, like=found[0])) == [
    ("image", "caption", "probability", "error"),
    ("a", "A cat, asleep.", 0.5, ""),
    ("b", "", "", "not an image"),
  ]


def test_json_has_no_nan(predict, images, monkeypatch):
  """A task of the user may predict numbers that JSON does not have."""

  def numbers(*_, **__):
    values = (float("nan"), float("inf"), 0.5)
    return [{"image": "a", "top": [{"class": "x", "value": v} for v in values]}]

  monkeypatch.setattr(inference, "predict", numbers)
  _, text = predict("--json", images[0])
  (found,) = json.loads(text, parse_constant=pytest.fail)
  assert [each["value"] for each in found["top"]] == [None, None, 0.5]


@pytest.mark.parametrize(
  ("first", "second"),
  [
    (["--json"], ["--csv-wide"]),
    (["--csv-wide"], ["--csv"]),
    (["--top", "2"], ["--probabilities"]),
  ],
)
def test_forms_exclude_each_other(first, second, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(["predict", "--workdir", "run", *first, *second, "a.png"])
  error = capsys.readouterr().err
  assert stop.value.code == 2
  assert f"{second[0]}: not allowed with argument {first[0]}" in error


@pytest.mark.parametrize(
  ("task", "words", "message"),
  [
    (
      "regression",
      ["--csv-wide"],
      "predicts numbers, which have no probabilities",
    ),
    ("classification", ["--csv"], "--probabilities has no ranks"),
  ],
)
def test_some_predictions_have_no_probabilities_of_all(
  task, words, message, images, monkeypatch, capsys
):
  opened = small_runs.run_of("linear", task)
  monkeypatch.setattr(parsing, "open_source", lambda _: opened)
  words = ["predict", "--workdir", "run", "--probabilities", *words, *images]
  assert cli.main(words) == 2
  said = capsys.readouterr()
  assert said.out == "" and message in said.err
