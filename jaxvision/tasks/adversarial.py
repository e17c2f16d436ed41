"""The adversarial task: a generator and a critic of pairs of one class.

A Wasserstein GAN with a penalty of the critic's gradient (Gulrajani et al.
2017, Improved Training of Wasserstein GANs) of pairs of images, as DAGAN
(Antoniou et al. 2017). With an image x, another image y of its class, noise z,
the generator G and the critic D,

  critic:     mean D(x, G(x, z)) - mean D(x, y) + 10 mean (|slope| - 1)^2
  generator:  - mean D(x, G(x, z))

The slope is the gradient of D(x, m) with respect to m, at m = a y + (1 - a)
G(x, z) with a uniform a for each example; its norm is over all pixels. Both
losses are one function. Its gradient with respect to generated images has the
opposite sign, so each turn of a step differentiates the same function with
respect to its own network. A step has several turns of the critic, then one of
the generator, each with its own examples.

Batches are {image, partner (b, h, w, c) uint8, label (b,) int32, mask (b,)
float32}. A device transform gets the same key for an image and its partner, so
it moves both alike. Images are normalised to [-1, 1], the range of the
generator. loss.name and its options have no effect.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, metrics, models
from jaxvision.lookup import ranges
from jaxvision.metrics import generation
from jaxvision.optimizers import freezing
from jaxvision.runs import pages
from jaxvision.tasks import supervised
from jaxvision.tasks.contract import (
  Artifacts,
  Batch,
  Components,
  Generator,
  Task,
)

Tree = Any

_MEASURED = ("critic_distance", "real_score", "generated_score", "slope")
_CELLS = 8  # side of the reduced images of the pixel distance
_STEEP = 5.0  # mean slope from which the critic's distance has no meaning
_FLAT = 0.5 / 255  # mean difference of pixels below which noise has no effect


def make(
  components: Components,
  *,
  critic_updates: ranges.Count = 5,
  gradient_penalty: ranges.NonNegative = 10.0,
) -> Task:
  """Returns the adversarial task.

  Args:
    components: whose model has the methods `generate` and `criticize`.
    critic_updates: updates of the critic in a step, before that of the
      generator.
    gradient_penalty: weight of the penalty.

  Raises:
    ValueError: the model is no pair, or pixels are not normalised to [-1, 1].
  """
  _check(components)
  networks = _Networks(components, gradient_penalty)
  return Task(
    batch={
      "image": (components.image_shape, np.uint8),
      "partner": (components.image_shape, np.uint8),
      "label": ((), np.int32),
      "mask": ((), np.float32),
    },
    init=networks.init,
    inputs=networks.inputs,
    loss=networks.loss,
    evaluate=networks.evaluate,
    finish=finish,
    logged=("loss", *_MEASURED, "penalty"),
    measured=("pixel_frechet", "diversity", *_MEASURED, "penalty", "loss"),
    best={"pixel_frechet": -1, "diversity": 1},
    untrained=lambda: None,
    answer=lambda outputs: outputs,
    rank=_rank,
    predictions=_no_predictions,
    artifacts=_artifacts,
    learnt=None,
    turns=(("critic", critic_updates), ("generator", 1)),
    generator=Generator(networks.generate, components.model.noise),
    problem=problem,
  )


@dataclasses.dataclass(frozen=True)
class _Networks:
  """The functions of the task, for a pair of networks.

  Attributes:
    components: of the task.
    weight: of the penalty.
  """

  components: Components
  weight: float

  @property
  def model(self) -> nn.Module:
    """The pair."""
    return self.components.model

  def init(self, key: jax.Array) -> Tree:
    """The variables of both networks."""
    images = jnp.zeros((1, *self.components.image_shape), jnp.float32)
    return self.model.init(key, images, train=False)

  def inputs(self, batch: Batch, key: jax.Array) -> tuple[Batch, Batch]:
    """The normalised batch, and the same after the device transforms."""
    transform_key, _ = jax.random.split(key)
    given = self._normalized(batch)
    moved = self.components.device_transform(transform_key, given)
    pair = {**given, "image": given["partner"]}
    other = self.components.device_transform(transform_key, pair)
    return given, {**moved, "partner": other["image"]}

  def loss(
    self, params: Tree, model_state: Tree, batch: Batch, key: jax.Array
  ) -> tuple[jax.Array, Tree]:
    """The loss of both networks, see the top of the file."""
    _, batch = self.inputs(batch, key)
    _, key = jax.random.split(key)
    noise_key, dropout_key, score_key = jax.random.split(key, 3)
    *dropout_keys, mix_key = jax.random.split(score_key, 4)
    rules = self.components.learning_rate_rules
    is_frozen = freezing.frozen(params, rules)
    params = freezing.stop_gradients(params, is_frozen)
    variables = {"params": params, **model_state}
    images = batch["image"]
    kept = functools.partial(freezing.keep_statistics, self.model, is_frozen)
    with kept(method="generate"):
      generated, changed = self.model.apply(
        variables,
        images,
        jax.random.normal(noise_key, (len(images), self.model.noise)),
        train=True,
        method="generate",
        mutable=list(model_state),
        rngs={"dropout": dropout_key},
      )
    share = jax.random.uniform(mix_key, (len(images), 1, 1, 1))
    with kept(method="criticize"):
      found = self._scores(
        variables, batch, _reversed(generated), share, dropout_keys
      )
    sums = _sums(found, batch["mask"])
    mean = sums["loss"] / jnp.maximum(sums["count"], 1)
    total = mean + self.components.penalty(params)
    return total, (dict(changed), sums)

  def evaluate(self, variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    """The sums of a batch, and generated images (b, h, w, c) uint8.

    The random numbers of an image follow from its pixels, so the sums over a
    split do not depend on its batches.
    """
    noises, share = _draws(batch["image"], self.model.noise)
    batch = self._normalized(batch)
    images, mask = batch["image"], batch["mask"]
    generated, others = (
      self.model.apply(variables, images, noise, train=False, method="generate")
      for noise in noises
    )
    found = self._scores(variables, batch, generated, share)
    # Pixels have a range of 2.
    apart = jnp.abs(generated - others).mean(axis=(1, 2, 3)) / 2
    sums = _sums({**found, "diversity": apart}, mask)
    for name, each in (("real", batch["partner"]), ("generated", generated)):
      sums[f"{name}_first"], sums[f"{name}_second"] = _moments(each, mask)
    return sums, _to_pixels(generated)

  def _scores(
    self,
    variables: Tree,
    batch: Batch,
    generated: jax.Array,
    share: jax.Array,
    dropout_keys: Sequence[jax.Array] = (),
  ) -> dict[str, jax.Array]:
    """The scores and the losses of each example, (b,).

    Args:
      variables, batch: normalised.
      generated: images of the batch, (b, h, w, c).
      share: of the real image at the point of the slope, (b, 1, 1, 1).
      dropout_keys: of the three scores in training; () in evaluation.
    """
    images, partners = batch["image"], batch["partner"]

    def score(others: jax.Array, i: int) -> jax.Array:
      return self.model.apply(
        variables,
        images,
        others,
        train=bool(dropout_keys),
        method="criticize",
        rngs={"dropout": dropout_keys[i]} if dropout_keys else None,
      )

    fixed = jax.lax.stop_gradient(generated)
    between = share * partners + (1 - share) * fixed
    gradient = jax.grad(lambda others: score(others, 2).sum())(between)
    # The derivative of a root is infinite at zero.
    slope = jnp.sqrt(jnp.square(gradient).sum(axis=(1, 2, 3)) + 1e-12)
    real, fake = score(partners, 0), score(generated, 1)
    penalty = self.weight * jnp.square(slope - 1)
    return {
      "loss": fake - real + penalty,
      "critic_distance": real - fake,
      "real_score": real,
      "generated_score": fake,
      "slope": slope,
      "penalty": penalty,
    }

  def generate(
    self, variables: Tree, images: jax.Array, noise: jax.Array
  ) -> jax.Array:
    """Maps images (b, h, w, c) uint8 and noise (b, n) to images uint8."""
    images = data.normalize(images, self.components.normalization)
    made = self.model.apply(
      variables, images, noise, train=False, method="generate"
    )
    return _to_pixels(made)

  def _normalized(self, batch: Batch) -> dict[str, jax.Array]:
    targets = functools.partial(
      jax.nn.one_hot, num_classes=len(self.components.class_names)
    )
    normalization = self.components.normalization
    return {
      **supervised.with_targets(batch, self.components, targets),
      "partner": data.normalize(batch["partner"], normalization),
    }


def finish(sums: Tree) -> dict[str, float]:
  """The metrics of the sums of an evaluation.

  Returns:
    The mean of each scalar of the sums, and pixel_frechet, the Fréchet distance
    of the partners and the generated images, reduced to 8x8 cells in [-1, 1].

  Raises:
    ValueError: no example was counted.
  """
  sums = {name: np.asarray(each) for name, each in sums.items()}
  found, count = metrics.means(sums), int(sums["count"])
  gaussians = []
  for name in ("real", "generated"):
    mean = np.asarray(sums[f"{name}_first"], np.float64) / count
    second = np.asarray(sums[f"{name}_second"], np.float64) / count
    gaussians += [mean, second - np.outer(mean, mean)]
  return {"pixel_frechet": generation.frechet_distance(*gaussians), **found}


def problem(values: Mapping[str, float]) -> str:
  """A warning about the metrics of an evaluation; "" if there is none.

  A GAN can fail with finite numbers: the critic explodes although its slope is
  penalised, or the generator ignores its noise.
  """
  if values["slope"] > _STEEP:
    return (
      f"the critic diverges: the mean norm of its gradient is "
      f"{values['slope']:.3g}, and the penalty should keep it near 1. Its "
      "distance has no meaning. Lower optimizer.learning_rate, or raise "
      "task.options.gradient_penalty"
    )
  if values["diversity"] < _FLAT:
    return (
      "the generator ignores its noise: two images of the same input differ by "
      f"{255 * values['diversity']:.2g} of 255 on average. Train longer, or "
      "lower optimizer.learning_rate"
    )
  return ""


def _check(components: Components) -> None:
  """Raises ValueError unless the model is a pair with images in [-1, 1]."""
  model = components.model
  if not models.is_pair(model):
    raise ValueError(
      f"the task adversarial needs a generator and a critic, and "
      f"{type(model).__name__} has no methods generate and criticize; set "
      "model.name to dagan or dagan_small"
    )
  for name in ("mean", "std"):
    if set(getattr(components.normalization, name)) != {0.5}:
      raise ValueError(
        f"data.{name} is {tuple(getattr(components.normalization, name))}, but "
        f"the generator makes pixels in [-1, 1]; set data.{name}=(0.5,)"
      )


def _to_pixels(images: jax.Array) -> jax.Array:
  """Images in [-1, 1] as uint8."""
  return jnp.rint((images + 1) * 127.5).clip(0, 255).astype(jnp.uint8)


def _draws(images: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
  """Two draws of the noise (2, b, size) and a share (b, 1, 1, 1) of each image.

  Args:
    images: (b, h, w, c) uint8. Equal images get equal numbers.
    size: length of the noise.
  """
  pixels = images.reshape(len(images), -1).astype(jnp.uint32)
  key = jax.random.key(0)
  factors = jax.random.bits(key, (1, pixels.shape[1]), jnp.uint32)

  def draw(number: jax.Array) -> tuple[jax.Array, jax.Array]:
    noise_key, share_key = jax.random.split(jax.random.fold_in(key, number))
    noises = jax.random.normal(noise_key, (2, size))
    return noises, jax.random.uniform(share_key, (1, 1, 1))

  hashes = (pixels * factors).sum(axis=1)
  return jax.vmap(draw, out_axes=(1, 0))(hashes)


def _reversed(x: jax.Array) -> jax.Array:
  """x, whose derivative has the opposite sign (Ganin and Lempitsky 2015)."""
  return 2 * jax.lax.stop_gradient(x) - x


def _sums(found: Mapping[str, jax.Array], mask: jax.Array) -> Tree:
  """The sums over the examples that count, and their number."""
  return {
    **{k: supervised.masked_sum(v, mask) for k, v in found.items()},
    "count": mask.astype(jnp.int32).sum(),
  }


def _moments(images: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The sums of reduced images (d,), and of their products (d, d)."""
  count, _, _, channels = images.shape
  shape = (count, _CELLS, _CELLS, channels)
  cells = jax.image.resize(images, shape, "linear").reshape(count, -1)
  cells = jnp.where(mask[:, None] > 0, cells, 0.0)
  return cells.sum(axis=0), cells.T @ cells


def _rank(outputs: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
  """Equal scores: the report shows the first examples."""
  return np.zeros(len(batch["label"])), outputs


def _no_predictions(*_: Any) -> list[dict[str, Any]]:
  raise ValueError(
    "a generator and a critic do not classify; `jaxvision generate` writes the "
    "images that they make"
  )


def _artifacts(
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> Artifacts:
  """The metrics, and a sentence on the training."""
  del class_names, ids
  values = evaluation.metrics
  rows = [
    ["slope of the critic", values["slope"], f"at most {_STEEP:g}"],
    [
      "mean difference of two images of the same one, of 255",
      255 * values["diversity"],
      f"at least {255 * _FLAT:g}",
    ],
  ]
  columns = {"quantity": "text", "value": "number", "limit": "text"}
  return Artifacts(
    arrays={name: np.asarray(value) for name, value in values.items()},
    pages=[
      pages.Page(
        title="Generator and critic",
        note=_judgement(values),
        table=pages.Table(columns=columns, rows=rows),
      )
    ],
  )


def _judgement(values: Mapping[str, float]) -> str:
  """A sentence on the training, for the report."""
  found = problem(values)
  if found:
    return f"Warning: {found}."
  return "The critic does not diverge, and the noise changes the images."
