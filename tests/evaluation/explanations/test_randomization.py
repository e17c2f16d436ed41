"""The sanity check: order of the layers, new parameters, correlations."""

import jax
import numpy as np
import pytest
import small_classifiers
from scipy import stats

from jaxvision import interpret
from jaxvision.evaluation.explanations import randomization


@pytest.mark.parametrize(
  ("name", "top", "bottom"),
  [("resnet", "fc", "conv1"), ("vit", "head", "")],
)
def test_the_classifier_is_the_top_layer(name, top, bottom):
  model, variables = small_classifiers.classifier(name)
  found = randomization.layers_from_the_top(model, image_shape=(16, 16, 3))
  leaves, _ = jax.tree.flatten_with_path(variables["params"])
  holders = {"/".join(k.key for k in keys[:-1]) for keys, _ in leaves}
  assert sorted(found) == sorted(holders)
  assert found[0] == top and bottom in found[-2:]


def test_stages_begin_with_the_top_layer_and_end_with_all():
  layers = tuple("abcdefgh")
  found = randomization.cascade(layers, stages=3)
  assert [len(each) for each in found] == [1, 4, 8]
  assert all(layers[: len(each)] == each for each in found)
  assert randomization.cascade(layers, stages=1) == [layers]
  every = randomization.cascade(layers[:2], stages=9)
  assert every == [("a",), ("a", "b")]


def test_only_the_chosen_layers_are_random():
  _, trained = small_classifiers.classifier("resnet")
  drawn = jax.tree.map(lambda x: x + 1, trained)
  chosen = ("fc", "bn1")
  found = randomization.randomized(trained, drawn, chosen)
  rows, _ = jax.tree.flatten_with_path(found)
  sources = zip(jax.tree.leaves(trained), jax.tree.leaves(drawn), strict=True)
  for (keys, leaf), (old, new) in zip(rows, sources, strict=True):
    layer = "/".join(key.key for key in keys[1:-1])
    assert leaf is (new if layer in chosen else old)
  collections = {keys[0].key for keys, leaf in rows}
  assert collections == {"params", "batch_stats"}


def test_rank_correlations_are_those_of_scipy():
  rng = np.random.default_rng(0)
  maps = rng.normal(size=(4, 5, 6))
  others = np.maximum(rng.normal(size=(4, 5, 6)), 0)  # with many equal pixels
  others[3] = np.exp(maps[3])
  found = randomization.rank_correlations(maps, others)
  for a, b, value in zip(maps, others, found, strict=True):
    assert value == pytest.approx(stats.spearmanr(a.ravel(), b.ravel())[0])
  assert found[3] == pytest.approx(1)
  np.testing.assert_allclose(
    randomization.rank_correlations(maps, -maps), -1, atol=1e-12
  )


def test_a_constant_map_has_no_correlation():
  maps = np.stack([np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)])
  assert randomization.rank_correlations(maps, maps).tolist() == [0, 1]


def test_the_gradient_of_a_linear_model_depends_on_its_weights():
  model, trained = small_classifiers.classifier("linear", side=4)
  drawn = jax.tree.map(lambda x: np.roll(x, 1, axis=0), trained)
  images, targets = small_classifiers.images(2, side=4), np.array([0, 3])

  def explain(variables):
    return interpret.attribute("gradient", model, variables, images, targets)

  found = randomization.correlations(
    explain, trained, drawn, [(), ("head",)], maps=explain(trained)
  )
  largest = [
    np.abs(np.asarray(tree["params"]["head"]["kernel"]))
    .reshape(16, 3, 4)
    .max(axis=1)
    for tree in (trained, drawn)
  ]
  expected = [
    stats.spearmanr(*(each[:, target] for each in largest))[0]
    for target in targets
  ]
  np.testing.assert_allclose(found, [[1, 1], expected], rtol=1e-6)
