"""The predictions of a run: those of its model, and the examples to show."""

import numpy as np
import pytest
import tiny_runs
from sklearn import metrics

from jaxvision import training
from jaxvision.training import setup
from jaxvision.training.loop import predictions

_OVERRIDES = {
  "model.name": "linear",
  "model.options": {},
  "train.duration": "3 steps",
  "evaluate.explain": "",
  "log.tensorboard": False,
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  recipe, workdir = str(folder / "recipe.py"), folder / "run"
  training.train(recipe, workdir=workdir, overrides=_OVERRIDES)
  return workdir


@pytest.fixture(scope="module")
def student(teacher):
  """The logits of its teacher are beside its own in an evaluation."""
  taught = {"task.name": "distillation", "task.teachers": (str(teacher),)}
  recipe, workdir = str(teacher.parent / "recipe.py"), teacher.parent / "taught"
  overrides = {**_OVERRIDES, **taught, "seed": 1}
  training.train(recipe, workdir=workdir, overrides=overrides)
  return workdir


@pytest.fixture(params=["teacher", "student"])
def workdir(request):
  return request.getfixturevalue(request.param)


def _arrays(workdir, name):
  with np.load(workdir / name) as found:
    return dict(found)


def test_predictions_agree_with_the_results(workdir):
  found = _arrays(workdir, "predictions.npz")
  labels, shares = found["labels"], found["probabilities"]
  np.testing.assert_array_equal(
    metrics.confusion_matrix(
      labels, shares.argmax(1), labels=range(shares.shape[1])
    ),
    _arrays(workdir, "evaluation.npz")["confusion"],
  )
  np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(
    found["losses"].mean(),
    metrics.log_loss(labels, shares, labels=range(shares.shape[1])),
    rtol=1e-5,
  )


def test_examples_have_the_pictures_and_names_of_their_positions(workdir):
  found = _arrays(workdir, "predictions.npz")
  splits = setup.open_splits(tiny_runs.load_config(workdir.parent))
  split = splits.get("test", splits["validation"])
  chosen = found["positions"][found["sample"]].tolist()
  assert sorted(chosen) == found["positions"].tolist()  # few: all are shown
  assert found["sample_ids"].tolist() == split.ids(chosen)
  for image, (expected, label), index in zip(
    found["sample_images"], split.read(chosen), found["sample"], strict=True
  ):
    np.testing.assert_array_equal(image, expected)
    assert found["labels"][index] == label


def test_the_choice_is_bounded_and_each_reason_holds():
  rng = np.random.default_rng(1)
  shares = rng.dirichlet(np.full(4, 0.4), 2000)
  labels = np.where(
    rng.random(2000) < 0.8, shares.argmax(1), rng.integers(0, 4, 2000)
  )
  sample, reasons = predictions.choose(shares, labels)
  assert len(sample) == len(set(sample)) == predictions.MOST_PICTURES
  wrong, close, others = (sample[reasons == i] for i in range(3))
  mistakes = np.flatnonzero(shares.argmax(1) != labels)
  confidences = shares.max(axis=1)
  assert set(wrong) <= set(mistakes) and len(wrong) == 150
  left = np.setdiff1d(mistakes, wrong)
  assert confidences[wrong].min() >= confidences[left].max()
  first, second = np.sort(shares, axis=1)[:, :-3:-1].T
  left = np.setdiff1d(np.arange(2000), [*wrong, *close])
  assert (first - second)[close].max() <= (first - second)[left].min()
  assert len(close) == 150 and len(others) == 200
  assert (shares.argmax(1) == labels)[others].any()


def test_few_examples_are_all_shown():
  shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
  sample, reasons = predictions.choose(shares, np.array([1, 1, 0]))
  assert sample.tolist() == [0, 1, 2] and reasons.tolist() == [0, 1, 1]


def test_one_class_has_a_choice():
  sample, _ = predictions.choose(np.ones((3, 1)), np.zeros(3, int))
  assert sorted(sample.tolist()) == [0, 1, 2]
