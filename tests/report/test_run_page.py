"""The report has the facts of its run, in any state of the run."""

import base64
import io
import json
import re

import fake_runs
import numpy as np
import page_charts
import parsed_page
import pytest
from PIL import Image
from sklearn import metrics

from jaxvision import report
from jaxvision.configs import default
from jaxvision.report import numbers

EVIL = (
  "<b>zero</b>",
  'o\'ne & "1"',
  "två",
  "$3^x$",
  "🐈 cat",
  "</table></script><script>alert(1)</script>",
  "six",
  "日本",
  "eight",
  "nine",
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return fake_runs.write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(workdir):
  return parsed_page.Page(report.write_report(workdir))


@pytest.fixture
def bare(tmp_path):
  """A run that has written its config and nothing else."""
  fake_runs.write_json(
    tmp_path / "config.json",
    {"recipe": "r.py", "overrides": {}, "config": fake_runs.CONFIG},
  )
  return tmp_path


def _record(workdir, name="result.json"):
  return json.loads((workdir / name).read_text())


def _arrays(workdir, name="evaluation.npz"):
  with np.load(workdir / name) as arrays:
    return dict(arrays)


def _pixels(uri):
  data = base64.b64decode(uri.partition(",")[2])
  return np.asarray(Image.open(io.BytesIO(data)))


def test_title_is_the_test_accuracy(page, workdir):
  top1 = _record(workdir)["final"]["metrics"]["top1"]
  title = f"{numbers.percent(top1)} test accuracy"
  assert re.search(r"<title>(.*?)</title>", page.source)[1].startswith(title)
  assert title in page.text
  confusion = _arrays(workdir)["confusion"]
  wrong = confusion.sum() - np.trace(confusion)
  assert f"{wrong} of 360 images wrong" in page.text
  assert round(1 - wrong / 360, 9) == round(top1, 9)


def test_class_table_is_that_of_scikit_learn(page, workdir):
  confusion = _arrays(workdir)["confusion"]
  true, predicted = np.indices((10, 10)).reshape(2, -1)
  report = metrics.classification_report(
    true.repeat(confusion.ravel()),
    predicted.repeat(confusion.ravel()),
    output_dict=True,
    zero_division=np.nan,
  )
  rows = page.table("class", "precision", "recall", "F1", "images")
  assert {row[0] for row in rows} == set("0123456789")
  for name, *scores in rows:
    keys = ("precision", "recall", "f1-score")
    expected = [numbers.percent(report[name][key]) for key in keys]
    assert scores == [*expected, numbers.integer(report[name]["support"])]
  f1 = [report[row[0]]["f1-score"] for row in rows]
  assert f1 == sorted(f1)


def test_confusion_table_has_every_count(page, workdir):
  confusion = _arrays(workdir)["confusion"]
  rows = page.table("true ↓ predicted →")
  shown = [[0 if cell == "·" else int(cell) for cell in r[1:]] for r in rows]
  np.testing.assert_array_equal(shown, confusion)


def test_mistakes_show_the_exact_pixels(page, workdir):
  arrays = _arrays(workdir)
  pictures = [
    attributes["src"]
    for tag, attributes in page.tags
    if tag == "img" and attributes["alt"].startswith("image of")
  ]
  assert len(pictures) == len(arrays["mistake_images"]) > 0
  for picture, image in zip(pictures, arrays["mistake_images"], strict=True):
    np.testing.assert_array_equal(_pixels(picture), image[..., 0])
  for field in ("mistake_ids", "mistake_confidences"):
    for value in arrays[field]:
      shown = str(value) if field == "mistake_ids" else numbers.percent(value)
      assert shown in page.text


def test_linear_model_shows_one_named_template_per_class(page):
  alts = page.attributes("img", "alt")
  assert [a for a in alts if a.startswith("template")] == [
    f"template of {name}" for name in "0123456789"
  ]


def test_other_models_show_a_sheet_of_filters(bare):
  config = _record(bare, "config.json")
  config["config"]["model"]["name"] = "resnet18"
  fake_runs.write_json(bare / "config.json", config)
  filters = np.random.default_rng(0).normal(size=(64, 3, 3, 3))
  np.savez(bare / "first_layer.npz", name="stem/kernel", filters=filters)
  page = parsed_page.Page(report.write_report(bare))
  (uri,) = page.attributes("img", "src")
  assert (_pixels(uri)[..., 3] == 255).sum() == 64 * 3 * 3
  assert "All 64 filters of stem/kernel, 3 x 3 x 3" in page.text


def test_curves_of_all_splits_and_the_restart(page, workdir):
  charts = page_charts.of(page)
  accuracy = {each["name"]: each for each in charts["Accuracy"]["series"]}
  assert {name: each["colour"] for name, each in accuracy.items()} == {
    "train": "train",
    "validation": "validation",
    "validation (EMA)": "ema",
    "test": "test",
  }
  lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  logged = {
    x["step"]: x["train/top1"] for x in lines if x.get("train/top1") is not None
  }
  train = accuracy["train"]
  assert train["x"]["step"] == list(logged)
  np.testing.assert_allclose(
    train["y"], [100 * each for each in logged.values()], rtol=1e-5
  )
  restart = 38 // 2
  assert f"the run was resumed at step {restart}" in page.text
  assert charts["Loss"]["marks"]["step"] == [restart]


def test_the_axes_are_steps_epochs_and_time(page, workdir):
  """Evaluations have no time: it is that between the lines that have one."""
  lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  known = {x["step"]: x for x in lines if "seconds" in x}
  steps = list(known)
  loss = page_charts.of(page)["Loss"]
  assert list(loss["axes"]) == ["step", "epoch", "time"]
  assert loss["axes"]["time"] == "time in the loop (s)"
  for series in loss["series"]:
    at = series["x"]["step"]
    for axis, field in (("time", "seconds"), ("epoch", "epoch")):
      expected = np.interp(at, steps, [known[step][field] for step in steps])
      found = np.array(series["x"][axis])
      inside = (np.array(at) >= steps[0]) & (np.array(at) <= steps[-1])
      assert inside.sum() >= len(at) - 1
      np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-4)


def test_config_is_complete_and_overrides_are_marked(page):
  text = re.sub(r"\s+", " ", page.text)
  for value in ("random_crop(padding=1)", "12 epochs", "cosine", "0.9"):
    assert value in text
  assert page.source.count("<tr class='override'>") == 2
  assert "▸ learning_rate" in page.text
  assert "▸ seed" in page.text


def test_changed_config_values_are_marked(page):
  """Compared with the defaults in `configs/default.py`."""
  usual = default.get_config()
  shown = {
    "• name": "linear",
    "• duration": "12 epochs",
    "• warmup": "5 %",
    "• options.momentum": 0.9,
  }
  assert usual.train.duration != "12 epochs" and usual.model.name != "linear"
  assert usual.schedule.warmup != "5 %" and not usual.optimizer.options
  for text in shown:
    assert text in page.text
  # Default values have no mark, and overrides have another mark.
  assert usual.data.train == "train" and "• train " not in page.text
  assert "• learning_rate" not in page.text
  assert "• data_dir" not in page.text and "• batch_size" not in page.text
  assert f"<small>default: {usual.train.duration}</small>" in page.source


def test_the_end_of_the_name_of_a_mistake_is_never_cut(page, workdir):
  """Names are paths with equal starts, so a long name is cut at its start."""
  identity = str(_arrays(workdir)["mistake_ids"][0])
  assert f'><bdi dir="ltr">{identity}</bdi></small>' in page.source
  rule = re.search(r"\.pictures small \{(.*?)\}", page.source, re.S)[1]
  assert "direction: rtl" in rule and "text-overflow: ellipsis" in rule


def test_micro_averages_that_repeat_top1_are_left_out(bare):
  folder = bare
  metrics = {"top1": 0.9, "f1_micro": 0.9, "recall_micro": 0.8, "f1_macro": 0.7}
  fake_runs.write_json(
    folder / "result.json",
    {"status": "finished", "final": {"split": "test", "metrics": metrics}},
  )
  text = parsed_page.Page(report.write_report(folder)).text
  assert "f1_macro" in text and "recall_micro" in text
  assert "f1_micro" not in text


def test_numbers_that_are_not_finite_are_gaps(bare):
  """In strict JSON such numbers are null."""
  folder = bare
  metrics = {"top1": 0.5, "loss": None, "calibration_error": None}
  fake_runs.write_json(
    folder / "result.json",
    {
      "status": "stopped at step 4: NaN",
      "final": {"split": "test", "metrics": metrics},
      "best": {"metric": "validation/top1", "value": None, "step": 2},
    },
  )
  (folder / "metrics.jsonl").write_text(
    '{"step": 2, "validation/loss": null, "train/loss": 1.5}\n'
    '{"step": 4, "validation/loss": null, "train/loss": null}\n'
  )
  text = parsed_page.Page(report.write_report(folder)).text
  assert "Gaps: 3 of the logged values are not finite." in text


@pytest.mark.parametrize("evaluated", [40, 25])
def test_the_step_of_the_results_is_shown_if_it_is_not_the_last(
  bare, evaluated
):
  result = {
    "status": "finished",
    "step": 40,
    "total_steps": 40,
    "checkpoint": f"checkpoints/{evaluated}",
  }
  fake_runs.write_json(bare / "result.json", result)
  text = parsed_page.Page(report.write_report(bare)).text
  found = re.findall(r"results at step\s*(\d+)", text)
  assert found == ["25"] * (evaluated == 25)


def test_page_loads_nothing(page):
  for tag in ("img", "script", "link", "iframe", "use", "image"):
    for name in ("src", "href", "xlink:href"):
      for address in page.attributes(tag, name):
        assert address.startswith(("data:", "#"))
  assert not page.attributes("link", "rel")
  assert "@import" not in page.source
  assert not re.search(r"url\((?!#|data:)", page.source)
  assert len(page.source) < 600_000


def test_ids_are_unique_and_link_targets_exist(page):
  ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
  assert len(ids) == len(set(ids))
  links = page.attributes("a", "href")
  assert len(links) == 13
  assert {link.removeprefix("#") for link in links} <= set(ids)


def test_names_are_escaped(tmp_path):
  workdir = fake_runs.write_run(tmp_path / "a&<b>", names=EVIL)
  page = parsed_page.Page(report.write_report(workdir))
  rows = page.table("class", "F1")
  assert {row[0] for row in rows} == set(EVIL)
  tags = [tag for tag, _ in page.tags]
  # A name would end its script element, and begin another one.
  charts = len(page_charts.of(page))
  assert tags.count("script") == charts + len(
    ("sorting", "library", "charts", "filters")
  )
  assert str(workdir) in page.text


def test_the_page_of_a_new_run_names_the_missing_parts(bare):
  page = parsed_page.Page(report.write_report(bare))
  assert "No evaluation yet" in page.text
  assert "unfinished" in page.text
  for missing in ("result.json", "metrics.jsonl", "evaluation.npz"):
    assert missing in page.text
  assert "learning_rate" in page.text


@pytest.mark.parametrize(
  "status", ["preempted: SIGTERM", "stopped at step 3. Kept: 2."]
)
def test_run_that_ended_early(bare, status):
  lines = [
    {"step": 1, "train/loss": 2.3, "train/top1": 0.1},
    {"step": 2, "train/loss": float("nan"), "validation/top1": 0.25},
    {"step": 3, "train/loss": float("inf"), "validation/top1": None},
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "t'
  (bare / "metrics.jsonl").write_text(text)
  fake_runs.write_json(
    bare / "result.json",
    {"status": status, "step": 3, "total_steps": 90, "final": None},
  )
  page = parsed_page.Page(report.write_report(bare))
  assert "25.00% validation accuracy so far" in page.text
  assert all(word in page.text for word in re.split(r"[: ]+", status))
  assert "3 of 90" in page.text
  assert "1 incomplete line " in page.text
  assert "3 of the logged values are not finite" in page.text
  assert "nan%" not in page.text


def test_averaged_parameters_are_named(bare):
  final = {"split": "test_ema", "metrics": {"top1": 0.5}}
  fake_runs.write_json(bare / "result.json", {"final": final})
  page = parsed_page.Page(report.write_report(bare))
  assert "50.00% test (EMA) accuracy" in page.text
  config = json.loads((bare / "config.json").read_text())
  config["config"]["ema"] = {"start": "75 percent"}
  fake_runs.write_json(bare / "config.json", config)
  page = parsed_page.Page(report.write_report(bare))
  assert "50.00% test (SWA) accuracy" in page.text


def test_many_classes_are_drawn_not_tabulated(bare):
  classes = 30
  confusion = 9 * np.eye(classes, dtype=int)
  confusion[3, 4] = 2
  np.savez(
    bare / "evaluation.npz",
    confusion=confusion,
    mistake_images=np.zeros((0, 8, 8, 1), np.uint8),
    mistake_labels=np.zeros(0, int),
    mistake_predictions=np.zeros(0, int),
    mistake_confidences=np.zeros(0, np.float32),
    mistake_ids=np.zeros(0, str),
  )
  page = parsed_page.Page(report.write_report(bare))
  assert len(page.table("class", "F1")) == classes
  assert "true class (index)" in page.text
  pairs = page.table("true", "predicted")
  assert pairs == [["3", "4", "2", "18.18%"]]


def test_a_folder_that_is_not_a_run_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match="is not a run"):
    report.write_report(tmp_path)
  assert not list(tmp_path.iterdir())
