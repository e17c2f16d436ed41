"""Tests of multi-label classification, trained on digits as sets."""

import json

import jax
import jax.export
import jax.numpy as jnp
import labelled_digits
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image
from sklearn import metrics as theirs

from jaxvision import cli, data, inference, losses, tasks
from jaxvision.inference import export

NAMES = tuple(labelled_digits.PROPERTIES)
TASK = {"data__labels": "sets", "task__name": "multilabel"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """The folder of a run, and the data."""
  folder = tmp_path_factory.mktemp("sets")
  path = labelled_digits.write_sets(folder / "digits.npz")
  labelled_digits.train(path, folder / "run", loss__name="sigmoid", **TASK)
  return folder / "run", path


def test_it_learns_sets_of_properties_of_digits(trained):
  workdir, _ = trained
  result = json.loads((workdir / "result.json").read_text())
  measured = result["final"]["metrics"]
  assert result["class_names"] == list(NAMES)
  assert measured["mean_average_precision"] > 0.95
  assert measured["subset_accuracy"] > 0.8
  assert measured["hamming_loss"] < 0.1


def test_evaluation_is_that_of_scikit_learn(trained):
  workdir, path = trained
  run = inference.load_run(workdir)
  found = inference.evaluate(run).metrics
  with np.load(path) as arrays:
    images, labels = arrays["test_images"], arrays["test_labels"]
  pixels = data.normalize(images[..., None], data.Normalization((0.5,), (0.5,)))
  logits = np.asarray(run.model.apply(run.variables, pixels, train=False))
  precision = theirs.average_precision_score(labels, logits)
  f1 = theirs.f1_score(labels, logits > 0, average="macro")
  assert found["mean_average_precision"] == pytest.approx(precision, rel=1e-5)
  assert found["f1_macro"] == pytest.approx(f1, rel=1e-5)


def test_the_report_shows_the_classes_and_the_mistakes(trained):
  workdir, _ = trained
  page = (workdir / "report.html").read_text()
  assert "average precision" in page and "predicted:" in page
  with np.load(workdir / "evaluation.npz") as arrays:
    assert arrays["average_precision"].shape == (len(NAMES),)


def test_predictions_and_the_exported_model_are_probabilities(
  trained, tmp_path, capsys
):
  workdir, path = trained
  with np.load(path) as arrays:
    image = arrays["test_images"][0]
  Image.fromarray(image).save(tmp_path / "digit.png")
  run = inference.load_run(workdir)
  ((found),) = inference.predict(run, [tmp_path / "digit.png"])
  export.save(
    tmp_path / "model.jax",
    run.model,
    run.variables,
    image_shape=run.input_shape,
    normalization=run.normalization,
    answer=run.task.answer,
  )
  artifact = jax.export.deserialize((tmp_path / "model.jax").read_bytes())
  exported = np.asarray(artifact.call(image[None, ..., None]))[0]
  named = {each["class"]: each["probability"] for each in found["top"]}
  assert set(named) == set(NAMES)
  for name, probability in zip(NAMES, exported.tolist(), strict=True):
    assert named[name] == pytest.approx(probability, abs=1e-5)
  status = cli.main(
    ["predict", "--workdir", str(workdir), str(tmp_path / "digit.png")]
  )
  assert status == 0 and "above 4" in capsys.readouterr().out


class Linear(nn.Module):
  num_classes: int = 3

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


def _task(loss=losses.sigmoid):
  return tasks.create(
    "multilabel",
    tasks.Components(
      Linear(),
      loss,
      data.Normalization((0.5,), (0.5,)),
      image_shape=(2, 2, 1),
    ),
  )


def test_the_task_measures_the_metrics_that_it_names():
  task = _task()
  batch = {
    "image": np.zeros((4, 2, 2, 1), np.uint8),
    "label": np.asarray([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.uint8),
    "mask": np.ones(4, np.float32),
  }
  variables = task.init(jax.random.key(0))
  sums, outputs = jax.device_get(task.evaluate(variables, batch))
  assert task.finish(sums).keys() == set(task.measured)
  _, (_, logged) = task.loss(variables["params"], {}, batch, jax.random.key(1))
  assert logged.keys() == {"count", *task.logged}
  assert set(task.best) <= set(task.measured)
  expected = losses.sigmoid(
    outputs, jnp.asarray(batch["label"], jnp.float32)
  ).sum()
  assert float(sums["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_the_most_confident_wrong_decision_ranks_an_example():
  logits = np.asarray([[3.0, -1.0, -5.0], [2.0, 1.0, -1.0]])
  labels = np.asarray([[0, 1, 0], [1, 1, 0]], np.uint8)
  scores, answers = _task().rank(logits, {"label": labels})
  assert scores[0] == 3 and np.isnan(scores[1])
  assert answers.tolist() == [[1, 0, 0], [1, 1, 0]]


def test_the_untrained_loss_is_known_where_labels_do_not_matter():
  assert _task().untrained() == pytest.approx(3 * np.log(2))
  assert _task(losses.sigmoid_focal).untrained() is None


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"loss__name": "softmax"}, "'softmax'.*expected one of sigmoid"),
    (
      {"loss__name": "sigmoid", "task__name": "classification"},
      "whose labels are 'classes', and data.labels is 'sets'",
    ),
    (
      {"loss__name": "sigmoid", "loss__class_weights": ("balanced",)},
      "weights are for classes",
    ),
  ],
)
def test_parts_that_do_not_fit_are_refused(changes, message, tmp_path):
  path = labelled_digits.write_sets(tmp_path / "digits.npz")
  with pytest.raises(ValueError, match=message):
    labelled_digits.train(path, tmp_path / "run", **{**TASK, **changes})
