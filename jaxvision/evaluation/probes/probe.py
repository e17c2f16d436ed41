"""Probes: simple classifiers on the features of a frozen model.

A probe is written as a call, "knn(k=20)". Its features are the inputs of the
model's last fully connected layer, the head. "pixels/knn(k=20)" uses normalised
pixels instead, and "layer4_1/knn(k=20)" the output of the layer "layer4_1",
averaged over positions. A probe is fitted to one split and evaluated on
another.

The user's own probe is "my_probe.py:create(k=3)": a function of the options
that returns the probe, (train, test, num_classes, mesh) -> metrics, where train
and test are pairs of inputs (n, ...) and labels (n,).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxvision import data, lookup, metrics
from jaxvision.evaluation.probes import (
  checks,
  discriminant,
  features,
  fewshot,
  knn,
  logistic,
  visual_words,
)
from jaxvision.lookup import ranges

Tree = Any
Metrics = dict[str, float]
Examples = features.Examples
# (train, test, num_classes, mesh) -> metrics
Probe = Callable[[Examples, Examples, int, Mesh], Metrics]


def run(
  names: Sequence[str],
  train: Examples,
  test: Examples,
  *,
  num_classes: int,
  mesh: Mesh,
) -> dict[str, Metrics]:
  """Fits probes to examples and evaluates them on other examples.

  Args:
    names: calls of the functions in `PROBES`, such as "knn(k=20)".
    train: inputs (n, ...) and labels (n,), as from `features`.
    test: as `train`.
    num_classes: number of classes.
    mesh: the mesh, for probes that use it.

  Returns:
    {name: metrics}. Metrics are fractions: "top1", and "top5" for more than 5
    classes; `_fewshot` has other metrics.

  Raises:
    ValueError: a probe or an option is unknown, or the examples are invalid.
  """
  probes = {name: _parse(name) for name in names}
  for inputs, labels in (train, test):
    flat = inputs.reshape(len(inputs), -1)
    checks.check(flat, labels, num_classes=num_classes)
  return {
    name: _measure(name, probe, train, test, num_classes, mesh)
    for name, probe in probes.items()
  }


def make_evaluator(
  names: Sequence[str],
  model: nn.Module,
  train: data.Batches,
  test: data.Batches,
  *,
  num_classes: int,
  normalization: data.Normalization,
  mesh: Mesh,
) -> Callable[[Tree], dict[str, Metrics]]:
  """Returns evaluate(variables) -> {name: {metric: value}} of probes.

  Names are checked here, before the training starts.

  Args:
    names: such as "fewshot", "knn(k=20)", "pixels/lda".
    model: the model.
    train: the split for fitting, in order.
    test: the split for evaluation, in order.
    num_classes: number of classes.
    normalization: normalisation of the pixels.
    mesh: the mesh of the variables.

  Raises:
    ValueError: a probe, an option or a layer is unknown, or batches are
      shuffled.
  """
  by_layer = {}
  for name in names:
    layer, call = _split(name)
    _parse(call)
    by_layer.setdefault(layer, {})[name] = call
  for batches in (train, test):
    features.check_order(batches)
  readers = {
    layer: features.make_reader(
      model,
      train.image_shape,
      normalization=normalization,
      mesh=mesh,
      layer=layer,
    )
    for layer in by_layer
  }

  def evaluate(variables: Tree) -> dict[str, Metrics]:
    found = {}
    for layer, calls in by_layer.items():
      splits = [readers[layer](variables, each) for each in (train, test)]
      measured = run(
        list(calls.values()), *splits, num_classes=num_classes, mesh=mesh
      )
      found |= {name: measured[call] for name, call in calls.items()}
    return {lookup.as_written(name): found[name] for name in names}

  return evaluate


def _split(name: str) -> tuple[str | None, str]:
  """ "block/conv/knn(k=20)" -> "block/conv", "knn(k=20)"."""
  if lookup.is_own(name) and ".py:" in name:
    return None, name  # the path of the user's file is not a layer
  before, bracket, options = name.partition("(")
  layer, _, function = before.rpartition("/")
  return layer or None, function + bracket + options


def _parse(call: str) -> Probe:
  return lookup.call(call, functions=PROBES, kind="probe")


def _measure(name, probe, train, test, num_classes, mesh) -> Metrics:
  name = lookup.as_written(name)
  try:
    found = probe(train, test, num_classes, mesh)
  except ValueError as error:
    raise ValueError(f"probe {name!r}: {error}") from error
  if not isinstance(found, Mapping):
    raise ValueError(
      f"probe {name!r} returned {type(found).__name__}; expected a dictionary "
      'of metrics, as {"top1": 0.9}'
    )
  return {key: float(value) for key, value in found.items()}


def _knn(
  k: ranges.Count = 20,
  temperature: ranges.Positive | None = 0.07,
  distance: str = "cosine",
) -> Probe:
  """k-nearest neighbours, by cosine or Euclidean distance."""

  def probe(train, test, num_classes, mesh):
    options = {"k": k, "temperature": temperature, "distance": distance}
    options["mesh"] = mesh
    return _of(knn, train, test, num_classes, **options)

  return probe


def _fewshot(
  shots: Sequence[ranges.Count] = (1, 5, 10, 25),
  seeds: ranges.Count = 3,
  strength: ranges.NonNegative | Literal["leave_one_out"] = fewshot.STRENGTH,
) -> Probe:
  """Ridge regression on few examples per class.

  The metrics are the mean over the seeds, "1shot_top1", and the sample standard
  deviation, "1shot_top1_std". The defaults are those of big_vision.
  """
  if not shots:
    raise ValueError("shots is empty; give at least one number of examples")

  def probe(train, test, num_classes, mesh):
    del mesh  # Little work: it runs on jax's default device.
    found = {}
    for number in shots:
      values = []
      for seed in range(seeds):
        rows = fewshot.draw(
          train[1], shots=number, num_classes=num_classes, seed=seed
        )
        drawn = (train[0][rows], train[1][rows])
        measured = _of(fewshot, drawn, test, num_classes, strength=strength)
        values.append(measured["top1"])
      found[f"{number}shot_top1"] = float(np.mean(values))
      if seeds > 1:
        found[f"{number}shot_top1_std"] = float(np.std(values, ddof=1))
    return found

  return probe


def _ridge(
  strength: ranges.NonNegative | Literal["leave_one_out"] = "leave_one_out",
) -> Probe:
  """Ridge regression on all examples."""

  def probe(train, test, num_classes, mesh):
    del mesh
    return _of(fewshot, train, test, num_classes, strength=strength)

  return probe


def _lda(
  shrinkage: ranges.Probability | Literal["ledoit_wolf"] = "ledoit_wolf",
  components: ranges.Whole = 0,
) -> Probe:
  """Linear discriminant analysis, also on principal components."""

  def probe(train, test, num_classes, mesh):
    del mesh
    options = {"kind": "linear", "shrinkage": shrinkage}
    options["components"] = components
    return _of(discriminant, train, test, num_classes, **options)

  return probe


def _qda(
  shrinkage: ranges.Probability = 0.1, components: ranges.Whole = 0
) -> Probe:
  """Quadratic discriminant analysis, also on principal components."""

  def probe(train, test, num_classes, mesh):
    del mesh
    options = {"kind": "quadratic", "shrinkage": shrinkage}
    options["components"] = components
    return _of(discriminant, train, test, num_classes, **options)

  return probe


def _logistic(
  strength: ranges.Positive = 1.0, max_steps: ranges.Count = 100
) -> Probe:
  """Multinomial logistic regression."""

  def probe(train, test, num_classes, mesh):
    del mesh
    options = {"strength": strength, "max_steps": max_steps}
    return _of(logistic, train, test, num_classes, **options)

  return probe


def _visual_words(
  num_words: ranges.Count = 256,
  patch: ranges.Count = 6,
  stride: ranges.Count = 2,
  cells: ranges.Count = 2,
  seed: ranges.Whole = 0,
  strength: ranges.Positive = 1.0,
) -> Probe:
  """Logistic regression on histograms of typical patches."""

  def probe(train, test, num_classes, mesh):
    words = visual_words
    vocabulary = words.fit(
      train[0],
      num_words=num_words,
      patch=patch,
      stride=stride,
      cells=cells,
      seed=seed,
    )
    counted = [
      (words.histograms(vocabulary, images), labels)
      for images, labels in (train, test)
    ]
    return _logistic(strength)(*counted, num_classes, mesh)

  return probe


PROBES: dict[str, Callable[..., Probe]] = {
  "fewshot": _fewshot,
  "knn": _knn,
  "lda": _lda,
  "logistic": _logistic,
  "qda": _qda,
  "ridge": _ridge,
  "visual_words": _visual_words,
}


def _of(module, train, test, num_classes, **options) -> Metrics:
  """Fits a module's probe to `train` and returns its metrics on `test`."""
  (inputs, labels), (test_inputs, test_labels) = train, test
  tree = module.fit(
    inputs.reshape(len(inputs), -1), labels, num_classes=num_classes, **options
  )
  logits = module.predict(tree, test_inputs.reshape(len(test_inputs), -1))
  measured = metrics.classification.finish(_sums(logits, test_labels))
  return {key: measured[key] for key in ("top1", "top5") if key in measured}


@jax.jit
def _sums(logits: jax.Array, labels: jax.Array) -> metrics.classification.Sums:
  targets = jax.nn.one_hot(labels, logits.shape[-1])
  return metrics.classification.sums(logits, targets, jnp.ones(len(labels)))
