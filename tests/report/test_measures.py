"""The metrics of all tasks have a meaning, a unit and a direction."""

import json
import re

import fake_runs
import numpy as np
import page_charts
import parsed_page
import pytest

from jaxvision import report
from jaxvision.report import html, measures, numbers

# task -> (loss of the labels, final metrics, the main one, label of the loss)
TASKS = {
  "multilabel": (
    "sigmoid",
    {"hamming_loss": 0.25, "loss": 0.7, "mean_average_precision": 0.8},
    ("mean_average_precision", "80.00%", "loss (nats)"),
  ),
  "regression": (
    "huber",
    {"loss": 0.7, "mean_absolute_error": 0.5, "r2": 0.75},
    ("r2", "0.75", "loss"),
  ),
  "captioning": (
    "softmax",
    {"cider": 1.5, "bleu1": 0.5, "loss": 0.7, "perplexity": 2.0},
    ("cider", "1.5", "loss per word (nats)"),
  ),
  "adversarial": (
    "softmax",
    {"critic_distance": 12.5, "loss": -9.5, "pixel_frechet": 8.25},
    ("pixel_frechet", "8.25", "loss"),
  ),
  "distillation": (
    "softmax",
    {"agreement": 0.9, "loss": 0.1, "top1": 0.5},
    ("top1", "50.00%", "loss"),
  ),
}


def _write(workdir, task, *, data=None, name=None, value=None):
  """A finished run of a task; its main metric can be another value."""
  workdir.mkdir(parents=True, exist_ok=True)
  loss, metrics, (main, *_) = TASKS[task]
  metrics = metrics | ({} if value is None else {main: value})
  config = json.loads(json.dumps(fake_runs.CONFIG))
  config |= {"task": {"name": task}, "loss": {"name": loss}}
  config["data"] |= data or {}
  record = {"recipe": "r.py", "overrides": {}, "config": config}
  fake_runs.write_json(workdir / "config.json", record)
  line = {f"validation/{key}": each for key, each in metrics.items()}
  (workdir / "metrics.jsonl").write_text(json.dumps({"step": 4, **line}))
  final = {"split": "test", "metrics": metrics}
  result = {"status": "finished", "step": 4, "final": final}
  fake_runs.write_json(workdir / "result.json", result)
  return workdir


@pytest.mark.parametrize("task", TASKS)
def test_the_title_is_the_main_metric_and_the_loss_has_its_unit(task, tmp_path):
  _, metrics, (main, text, label) = TASKS[task]
  page = parsed_page.Page(report.write_report(_write(tmp_path, task)))
  name = "accuracy" if main == "top1" else main
  assert f"<h1>{text} test {name}</h1>" in page.source
  assert page_charts.of(page)["Loss"]["label"] == label
  assert report.main_metric(metrics) == main
  rows = {row[0]: row for row in page.table("metric", "meaning")}
  assert rows.keys() == metrics.keys()
  for key, row in rows.items():
    assert row[-2] == numbers.metric(key, metrics[key])
    assert len(row[-1]) > 10, key


def test_all_measured_metrics_have_a_meaning():
  """Those of docs/dagan.md, docs/captioning.md and docs/distillation.md."""
  names = (
    *("pixel_frechet", "diversity", "critic_distance", "real_score"),
    *("generated_score", "slope", "penalty", "cider", "bleu1", "bleu4"),
    *("rouge_l", "exact_match", "perplexity", "agreement", "teacher_top1"),
    *("label_loss", "top5", "f1_macro", "recall_micro", "hamming_loss"),
  )
  for name in names:
    assert measures.meaning(name, None), name
  assert measures.meaning("my_metric", None) == ""


@pytest.mark.parametrize(
  ("task", "first"), [("adversarial", "b"), ("regression", "a")]
)
def test_runs_without_accuracy_are_ranked_by_their_main_metric(
  task, first, tmp_path
):
  values = {"a": 0.9, "b": 0.4}
  workdirs = [
    _write(tmp_path / name, task, value=value) for name, value in values.items()
  ]
  path = report.write_comparison(workdirs, tmp_path / "comparison.html")
  page = parsed_page.Page(path)
  rows = page.table("run", TASKS[task][2][0], "loss")
  assert rows[0][0] == first
  assert [row[2] for row in rows] == [f"{values[row[0]]:g}" for row in rows]
  assert "accuracy" not in page.text


def test_a_generator_has_a_command_that_generates(tmp_path):
  text = parsed_page.Page(
    report.write_report(_write(tmp_path, "adversarial"))
  ).text
  assert "jaxvision generate generated.npz --workdir" in text
  assert "jaxvision predict" not in text


def test_a_mixture_has_not_the_name_of_the_default_data(tmp_path):
  workdir = _write(tmp_path, "regression", data={"kind": "mixture"})
  source = parsed_page.Page(report.write_report(workdir)).source
  assert "mixture · linear</title>" in source and "digits · " not in source


def test_an_override_of_a_group_marks_its_keys(tmp_path):
  workdir = _write(tmp_path, "distillation")
  record = json.loads((workdir / "config.json").read_text())
  record["config"]["task"]["options"] = {"loss": "hinton"}
  record["overrides"] = {"task.options": "{'loss': 'hinton'}"}
  fake_runs.write_json(workdir / "config.json", record)
  page = parsed_page.Page(report.write_report(workdir))
  assert "▸ options.loss" in page.text


def test_sections_of_the_same_title_are_all_shown():
  text = html.sections([("A b", "one", ""), ("A b", "two", ""), ("C", "", "")])
  assert "one" in text and "two" in text
  for target in ("a-b", "a-b-2"):
    assert text.count(f'id="{target}"') == text.count(f'href="#{target}"') == 1
  assert ">C<" not in text


def test_the_validation_split_has_one_column(tmp_path):
  """If there is no test split, the log has the final evaluation too."""
  workdir = _write(tmp_path, "adversarial")
  result = json.loads((workdir / "result.json").read_text())
  result["final"]["split"] = "validation"
  fake_runs.write_json(workdir / "result.json", result)
  page = parsed_page.Page(report.write_report(workdir))
  heading = next(t[0] for t in page.tables if "meaning" in t[0])
  assert heading == ["metric", "validation", "meaning"]


def test_a_student_has_a_confusion_matrix_and_the_classes_of_its_teacher(
  tmp_path,
):
  """The arrays of a classifier, and one more for each mistake."""
  workdir = fake_runs.write_run(tmp_path / "run")
  record = json.loads((workdir / "config.json").read_text())
  record["config"]["task"] = {"name": "distillation"}
  fake_runs.write_json(workdir / "config.json", record)
  with np.load(workdir / "evaluation.npz") as file:
    arrays = dict(file)
  teachers = (arrays["mistake_labels"] + 1) % 10
  np.savez(workdir / "evaluation.npz", **arrays, mistake_teachers=teachers)
  page = parsed_page.Page(report.write_report(workdir))
  assert len(page.table("true ↓ predicted →")) == 10
  shown = re.findall(r"teacher <b>(\d)</b>", page.source)
  assert shown == [str(each) for each in teachers]
