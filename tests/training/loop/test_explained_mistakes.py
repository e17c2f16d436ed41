"""Heat maps of the mistakes in the report of a run."""

import logging
import types

import numpy as np
import parsed_page
import pytest
import small_classifiers
import tiny_runs

from jaxvision import data, interpret, report, training
from jaxvision.training.loop import explained_mistakes
from jaxvision.training.setup import explained

_SECTION = "Mistakes, and where the network looked"


def run(folder, **overrides):
  """Trains for a step without learning, so that there are mistakes."""
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  training.train(
    str(folder / "recipe.py"),
    workdir=folder / "run",
    overrides={
      "model.name": "linear",
      "model.options": {},
      "train.duration": "1 steps",
      "optimizer.learning_rate": 1e-3,
      "ema.decay": 0.0,
      "log.tensorboard": False,
      **dotted,
    },
  )
  return folder / "run"


def arrays(workdir, name):
  with np.load(workdir / name) as found:
    return dict(found)


def test_both_classes_of_each_mistake_have_a_map(tmp_path):
  workdir = run(tmp_path)
  found = arrays(workdir, "explanations.npz")
  mistakes = arrays(workdir, "evaluation.npz")
  count = len(mistakes["mistake_labels"])
  assert count and str(found["method"]) == "gradient"
  assert str(found["limit"]) == str(found["problem"]) == ""
  # The gradient of a linear model is its weights: those of the first layer.
  templates = arrays(workdir, "first_layer.npz")["filters"]  # (k, h, w, c)
  maps = np.abs(templates).max(axis=-1)
  for name, of in (("predicted", "predictions"), ("true", "labels")):
    expected = interpret.overlay(
      mistakes["mistake_images"], maps[mistakes[f"mistake_{of}"]]
    )
    off = np.abs(found[name].astype(int) - expected)
    assert found[name].shape == (count, 4, 4, 3)
    assert off.max() <= 1
  page = parsed_page.Page(workdir / "report.html")
  assert _SECTION in page.text and "Most confident mistakes" not in page.text
  alts = page.attributes("img", "alt")
  assert sum("of the predicted class" in each for each in alts) == count
  assert sum("of the true class" in each for each in alts) == count


def test_a_run_of_an_earlier_version_has_mistakes_without_maps(tmp_path):
  workdir = run(tmp_path, evaluate__explain="")
  assert not (workdir / "explanations.npz").exists()
  page = parsed_page.Page(report.write_report(workdir))
  assert "Most confident mistakes" in page.text and _SECTION not in page.text
  assert "heat map" not in page.text


def test_a_failure_is_shown_and_the_run_finishes(tmp_path, monkeypatch, caplog):
  def fail(*args, **options):
    raise RuntimeError("no memory for <maps>")

  monkeypatch.setattr(interpret, "attribute", fail)
  with caplog.at_level(logging.WARNING):
    workdir = run(tmp_path)
  assert "the mistakes have no heat maps: no memory" in caplog.text
  page = parsed_page.Page(workdir / "report.html")
  assert "No heat maps of mistakes: no memory for <maps>." in page.text
  assert "Most confident mistakes" in page.text and "finished" in page.text


def test_the_number_of_mistakes_compiles_nothing(tmp_path, compiled):
  """Else each tiny run would pay for its own number."""
  model, variables = small_classifiers.classifier("resnet")
  parts = types.SimpleNamespace(
    explain="auto",
    model=model,
    normalization=data.Normalization((0.5,), (0.25,)),
  )
  pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
  labels = np.arange(5) % 4

  def write(count):
    mistakes = {
      "mistake_images": pixels[:count],
      "mistake_labels": labels[:count],
      "mistake_predictions": (labels[:count] + 1) % 4,
    }
    explained_mistakes.write(tmp_path, parts, variables, mistakes, flops=1.0)
    found = arrays(tmp_path, "explanations.npz")
    assert str(found["problem"]) == "" and len(found["true"]) == count
    return found

  five = write(5)
  before = len(compiled)
  four = write(4)
  assert len(compiled) == before
  for name in ("predicted", "true"):
    np.testing.assert_array_equal(four[name], five[name][:4])


def test_an_expensive_model_has_fewer_maps(tmp_path, monkeypatch):
  flops = 2 * 16 * 3  # of 4x4 pixels and 3 classes
  monkeypatch.setattr(explained_mistakes, "MOST_FLOPS", 2.5 * 6 * flops)
  workdir = run(tmp_path)
  found = arrays(workdir, "explanations.npz")
  count = len(arrays(workdir, "evaluation.npz")["mistake_labels"])
  assert count > 2 == len(found["predicted"])
  page = parsed_page.Page(workdir / "report.html")
  assert f"2 of {count} mistakes have heat maps" in page.text
  images = page.attributes("img", "alt")
  assert sum(each.startswith("image of") for each in images) == count


@pytest.mark.parametrize(
  ("flops", "expected"),
  [(1e9, 24), (8.2e9, 20), (35e9, 4), (2e11, 0), (0, 24)],
)
def test_the_rule_of_auto(flops, expected):
  """Of 1e12 FLOPs, and 6 passes of a mistake."""
  assert explained_mistakes.affordable(flops, 24) == expected


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"explain": "gradcam"}, "evaluate.explain: gradcam does not fit Linear"),
    ({"explain": "gradientt"}, "evaluate.explain: unknown method"),
    ({"explain": "mine.py:create"}, "methods of jaxvision only"),
    ({"explain": "rollout(residual=0)"}, "is the same for every class"),
    ({"explain": "occlusion(window=5)"}, "window 5 is larger than images"),
  ],
)
def test_a_wrong_method_is_an_error_before_the_training(
  tmp_path, overrides, message
):
  tiny_runs.write_data(tmp_path)
  with pytest.raises(ValueError, match=message):
    tiny_runs.prepare(
      tmp_path,
      model__name="linear",
      model__options={},
      evaluate__explain=overrides["explain"],
    )


def test_tasks_without_a_class_for_each_image_have_no_maps(tmp_path):
  config = tiny_runs.load_config(
    tmp_path, task__name="multilabel", evaluate__explain="gradient"
  )
  with pytest.raises(ValueError, match="multilabel does not predict one class"):
    explained.check(config, None, image_shape=(4, 4, 1))
