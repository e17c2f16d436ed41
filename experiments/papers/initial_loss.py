"""The loss before the first step is log C, and C - 1 for hinge.

  python experiments/papers/initial_loss.py

Three networks with C classes are drawn at random, ten times each: a linear
classifier, an MLP and a small ResNet. The weights of the last layer are drawn
with the standard deviation 0.001, so all scores are almost equal. The loss is
the mean over 256 images of noise with random labels.

How to read the answer: the relative deviation of the loss from log C (softmax)
and C - 1 (hinge), for C = 10, 100 and 1,000. The claim "holds" if all
deviations are below 1 %, "holds in part" if those of one of the two losses are,
and "does not hold" otherwise.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import losses, models, variables

CLAIM = claims.Claim(
  sentence="Before training, the loss is log C with softmax and C - 1 with "
  "hinge, because all scores are almost equal.",
  source="CS231n, Linear classification and Neural networks 3 (sanity checks)",
  published="2.302 for CIFAR-10 with softmax, 9 with hinge",
  data="noise",
  untested="Networks whose last layer is drawn at a larger scale start above.",
)
CLASSES = (10, 100, 1000)
MODELS: Mapping[str, Mapping[str, Any]] = {
  "linear": {},
  "mlp": {"hidden": (64,)},
  "resnet18": {"features": 8, "blocks": (1, 1)},
}
EXPECTED: Mapping[str, Callable[[int], float]] = {
  "softmax": math.log,
  "hinge": lambda classes: classes - 1.0,
}
_SHAPE, _EXAMPLES, _SEEDS, _SCALE, _LIMIT = (16, 16, 3), 256, 10, 0.001, 0.01


def initial_losses(name: str, classes: int, seed: int) -> dict[str, float]:
  """Returns {loss: its value} of a network before training."""
  model = models.create(name, num_classes=classes, **MODELS[name])
  tree = variables.draw(model, image_shape=_SHAPE, seed=seed)
  rng = np.random.default_rng(seed)
  # The last layer, also if the model starts it at zero.
  last = tree["params"]["fc" if name == "resnet18" else "head"]
  last["kernel"] = jnp.asarray(
    rng.normal(0, _SCALE, last["kernel"].shape), jnp.float32
  )
  images = rng.normal(size=(_EXAMPLES, *_SHAPE)).astype(np.float32)
  labels = rng.integers(classes, size=_EXAMPLES)
  logits = jax.jit(lambda t, x: model.apply(t, x, train=False))(tree, images)
  targets = jax.nn.one_hot(labels, classes)
  return {
    loss: float(losses.create(loss)(logits, targets).mean())
    for loss in EXPECTED
  }


def measure(quick: bool) -> claims.Finding:
  """Measures all networks."""
  deviations: dict[str, dict[int, list[float]]] = {
    loss: {classes: [] for classes in CLASSES} for loss in EXPECTED
  }
  for name in MODELS:
    for classes in CLASSES:
      for seed in range(2 if quick else _SEEDS):
        for loss, value in initial_losses(name, classes, seed).items():
          expected = EXPECTED[loss](classes)
          deviations[loss][classes].append(value / expected - 1)
  largest = {
    loss: max(abs(d) for each in found.values() for d in each)
    for loss, found in deviations.items()
  }
  return claims.Finding(
    ours="largest deviation: "
    + ", ".join(f"{v:.2%} ({loss})" for loss, v in largest.items()),
    verdict=claims.verdict([each < _LIMIT for each in largest.values()]),
    seeds=_SEEDS,
    figure=_draw(deviations),
  )


def _draw(deviations: Mapping[str, Mapping[int, list[float]]]) -> Any:
  made, (axes,) = claims.figure()
  for loss, found in deviations.items():
    for i, each in enumerate(found.values()):
      axes.plot(
        np.linspace(i - 0.2, i + 0.2, len(each)),
        100 * np.asarray(each),
        ".",
        color={"softmax": "C0", "hinge": "C1"}[loss],
        label=loss if i == 0 else None,
      )
  axes.set_xticks(range(len(CLASSES)), CLASSES)
  axes.set_xlabel("number of classes")
  axes.set_ylabel("deviation, %")
  axes.legend()
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
