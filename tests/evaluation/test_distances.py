"""Distances of splits in the features of a network."""

import numpy as np
import pytest

from jaxvision import data, models, parallel, variables
from jaxvision.data.sources import pairs
from jaxvision.evaluation import distances
from jaxvision.metrics import generation

NORMALIZATION = data.Normalization((0.5,), (0.5,))


def _batches(images):
  split = pairs.from_arrays(images, np.zeros(len(images), int))
  return data.make_batches(split, batch_size=16, channels=1)


def test_features_are_the_input_of_the_classifier():
  rng = np.random.default_rng(0)
  real, made = rng.integers(0, 255, (2, 30, 3, 3, 1), np.uint8)
  made = made[:20]
  model = models.create("mlp", num_classes=2, hidden=(4,))
  weights = variables.draw(model, image_shape=(3, 3, 1))
  found = distances.feature_distances(
    model,
    weights,
    _batches(real),
    _batches(made),
    normalization=NORMALIZATION,
    mesh=parallel.make_mesh(),
  )
  layer = {k: np.asarray(v) for k, v in weights["params"]["hidden_0"].items()}
  features = [
    np.maximum(
      (each.reshape(len(each), -1) / 127.5 - 1) @ layer["kernel"]
      + layer["bias"],
      0,
    )
    for each in (real, made)
  ]
  assert found["frechet_distance"] == pytest.approx(
    generation.frechet_distance(
      *generation.moments(features[0]), *generation.moments(features[1])
    ),
    rel=1e-3,
  )
  assert found["kernel_distance"] == pytest.approx(
    generation.kernel_distance(*features), rel=1e-3
  )
  assert (found["real"], found["generated"], found["features"]) == (30, 20, 4)
