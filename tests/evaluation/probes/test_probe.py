"""Tests of probe: names, splits and layers; scikit-learn agrees."""

import jax
import numpy as np
import pytest
import tiny_runs
from sklearn import datasets, discriminant_analysis, neighbors

from jaxvision import data, parallel
from jaxvision.evaluation import probes
from jaxvision.evaluation.probes import features


@pytest.fixture(scope="module")
def digits():
  """(train, test) of images (n, 8, 8, 1) and labels."""
  found = datasets.load_digits()
  images = (found.images[..., None] / 16 - 0.5).astype(np.float32) / 0.25
  half = slice(0, 900), slice(900, None)
  return [(images[rows], found.target[rows]) for rows in half]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
  """A tiny run; its model is an MLP with one hidden layer of 8."""
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(folder)
  return tiny_runs.prepare(folder, evaluate__probes=("lda",))


def _run(names, digits, devices=8):
  mesh = parallel.make_mesh(jax.devices()[:devices])
  return probes.run(names, *digits, num_classes=10, mesh=mesh)


def _make_evaluator(names, parts, train=None):
  """The evaluator of a tiny run; both splits are in order."""
  return probes.make_evaluator(
    names,
    parts.model,
    parts.fitted if train is None else train,
    parts.batches["validation"],
    num_classes=3,
    normalization=data.Normalization((0.5,), (0.5,)),
    mesh=parts.mesh,
  )


def test_agrees_with_scikit_learn_on_raw_pixels(digits):
  found = _run(["knn(k=1)", "lda(shrinkage=0.1)"], digits)
  (train, labels), (test, test_labels) = (
    (images.reshape(len(images), -1), labels) for images, labels in digits
  )
  oracles = {
    "knn(k=1)": neighbors.KNeighborsClassifier(1, metric="cosine"),
    "lda(shrinkage=0.1)": discriminant_analysis.LinearDiscriminantAnalysis(
      solver="lsqr", shrinkage=0.1
    ),
  }
  assert found.keys() == oracles.keys()
  for name, oracle in oracles.items():
    top1 = oracle.fit(train, labels).score(test, test_labels)
    assert found[name]["top1"] == pytest.approx(top1)
    assert found[name]["top1"] < found[name]["top5"] <= 1


@pytest.mark.parametrize("name", ["logistic", "qda"])
def test_digits_are_classified(digits, name):
  assert _run([name], digits)[name]["top1"] > 0.9


@pytest.mark.slow
def test_visual_words_classify_digits(digits):
  name = "visual_words(num_words=40, patch=4, stride=1)"
  assert _run([name], digits)[name]["top1"] > 0.85


def test_one_device_is_as_good_as_eight(digits):
  assert _run(["knn"], digits, 1) == _run(["knn"], digits, 8)


def test_more_shots_are_better(digits):
  name = "fewshot(shots=(1, 5, 25), seeds=4)"
  metrics = _run([name], digits)[name]
  top1 = [metrics[f"{shots}shot_top1"] for shots in (1, 5, 25)]
  assert 0.3 < top1[0] < top1[1] < top1[2]
  spread = [metrics[f"{shots}shot_top1_std"] for shots in (1, 5, 25)]
  assert 0 < spread[2] < spread[0]
  assert len(metrics) == 6


@pytest.mark.parametrize(
  ("name", "problem"),
  [
    ("kn", "unknown probe 'kn'; did you mean 'knn'"),
    ("knn(n=3)", "has no option 'n'"),
    ("knn(k=901)", r"probe 'knn\(k=901\)': k is 901, but there are 900"),
    ("fewshot(seeds=0)", "seeds is 0; it must be a whole number at least 1"),
    ("fewshot(shots=())", "shots is empty"),
    ("knn(k=true)", "k is True; it must be a whole number"),
    ("knn(temperature=0)", "temperature is 0; it must be a number above 0"),
    ("lda(shrinkage='wolf')", "it must be a number in .0, 1. or one of 'led"),
    ("logistic(strength=-1)", "strength is -1; it must be a number above 0"),
    ("fewshot(shots=(99,))", "fewer than 99 examples"),
    ("qda(shrinkage=0.0)", "do not vary in some direction"),
  ],
)
def test_impossible_probes(digits, name, problem):
  with pytest.raises(ValueError, match=problem):
    _run([name], digits)


def test_impossible_examples(digits):
  train, (test, labels) = digits
  missing = [each[train[1] != 3] for each in train]
  with pytest.raises(ValueError, match=r"probe 'lda': 1 of 10 .* class 3"):
    _run(["lda"], (missing, (test, labels)))
  assert _run(["knn"], (missing, (test, labels)))["knn"]["top1"] > 0.8
  broken = test.copy()
  broken[2, 0, 0] = np.nan
  with pytest.raises(ValueError, match=r"1 of 897 examples .* in row 2"):
    _run(["knn"], (train, (broken, labels)))
  flat = [(images.reshape(len(images), -1), y) for images, y in digits]
  with pytest.raises(ValueError, match=r"visual words need \(n, h, w"):
    _run(["visual_words"], flat)


def test_probes_of_a_model_its_layers_and_the_pixels(parts):
  names = ["knn(k=3)", "pixels/lda", "hidden_0/knn(k=3)", "pixels/knn(k=3)"]
  evaluate = _make_evaluator(names, parts)
  variables = parts.init().variables
  found = evaluate(variables)
  assert list(found) == names
  # Brighter images are of larger labels.
  assert found["pixels/lda"]["top1"] > 0.9
  # The hidden layer has other outputs than the head has inputs: no ReLU.
  batches = parts.batches["validation"]
  head, layer = (
    features.features(
      parts.model,
      variables,
      batches,
      normalization=data.Normalization((0.5,), (0.5,)),
      mesh=parts.mesh,
      layer=layer,
    )[0]
    for layer in (None, "hidden_0")
  )
  np.testing.assert_allclose(head, np.maximum(layer, 0), atol=1e-5)
  assert layer.min() < 0


def test_other_variables_have_other_features(parts):
  """Variables are arguments, not constants of the compiled program."""
  evaluate = _make_evaluator(["knn(k=3)"], parts)
  variables = parts.init().variables
  zero = jax.tree.map(lambda each: 0 * each, variables)
  # Of equal features the first examples win, one of each class.
  assert evaluate(zero)["knn(k=3)"]["top1"] == pytest.approx(7 / 21)
  assert evaluate(variables)["knn(k=3)"]["top1"] > 0.5


@pytest.mark.parametrize(
  ("name", "problem"),
  [
    ("hiden_0/knn", "unknown layer 'hiden_0'; did you mean 'hidden_0'"),
    ("pixels/ldaa", "did you mean 'lda'"),
    ("lda(shrinkage=0.5", "is not a call"),
  ],
)
def test_names_are_checked_before_anything_runs(parts, name, problem):
  with pytest.raises(ValueError, match=problem):
    _make_evaluator([name], parts)


def test_training_batches_are_refused(parts):
  with pytest.raises(ValueError, match="are shuffled and repeat examples"):
    _make_evaluator(["knn"], parts, train=parts.batches["train"])
