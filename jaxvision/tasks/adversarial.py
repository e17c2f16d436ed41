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
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, metrics
from jaxvision.lookup import ranges
from jaxvision.metrics import generation
from jaxvision.optimizers import freezing
from jaxvision.runs import pages
from jaxvision.tasks import generated_images
from jaxvision.tasks.contract import Artifacts, Batch, Components, Task

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
    turns=(("critic", critic_updates), ("generator", 1)),
    pages=networks.pages,
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
    keys = jax.random.split(key, 3)
    rules = self.components.learning_rate_rules
    params = freezing.stop_gradients(params, freezing.frozen(params, rules))
    variables = {"params": params, **model_state}
    images, mask = batch["image"], batch["mask"] > 0
    noise = jax.random.normal(keys[0], (len(images), self.model.noise))
    generated, changed = self.model.apply(
      variables,
      images,
      noise,
      train=True,
      method="generate",
      mutable=list(model_state),
      rngs={"dropout": keys[1]},
    )
    found = self._scores(
      variables, batch, _reversed(generated), keys[2], train=True
    )
    sums = _sums(found, mask)
    mean = sums["loss"] / jnp.maximum(sums["count"], 1)
    total = mean + self.components.penalty(params)
    return total, (dict(changed), sums)

  def evaluate(self, variables: Tree, batch: Batch) -> tuple[Tree, jax.Array]:
    """The sums of a batch, and generated images (b, h, w, c) uint8."""
    batch = self._normalized(batch)
    images, mask = batch["image"], batch["mask"] > 0
    keys = jax.random.split(jax.random.key(0), 3)
    generated, others = (
      self.model.apply(
        variables,
        images,
        jax.random.normal(key, (len(images), self.model.noise)),
        train=False,
        method="generate",
      )
      for key in keys[:2]
    )
    found = self._scores(variables, batch, generated, keys[2], train=False)
    # Pixels have a range of 2.
    apart = jnp.abs(generated - others).mean(axis=(1, 2, 3)) / 2
    sums = _sums({**found, "diversity": apart}, mask)
    for name, each in (("real", batch["partner"]), ("generated", generated)):
      sums[f"{name}_first"], sums[f"{name}_second"] = _moments(each, mask)
    return sums, to_pixels(generated)

  def _scores(
    self,
    variables: Tree,
    batch: Batch,
    generated: jax.Array,
    key: jax.Array,
    *,
    train: bool,
  ) -> dict[str, jax.Array]:
    """The scores and the losses of each example, (b,)."""
    images, partners = batch["image"], batch["partner"]
    *dropouts, mix_key = jax.random.split(key, 4)

    def score(others: jax.Array, i: int) -> jax.Array:
      return self.model.apply(
        variables,
        images,
        others,
        train=train,
        method="criticize",
        rngs={"dropout": dropouts[i]},
      )

    share = jax.random.uniform(mix_key, (len(images), 1, 1, 1))
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

  def pages(
    self, variables: Tree, examples: Sequence[metrics.Example]
  ) -> list[pages.Page]:
    """Images that the generator makes of a few examples."""

    @jax.jit
    def generate(images: jax.Array, noise: jax.Array) -> jax.Array:
      images = data.normalize(images, self.components.normalization)
      noise = jnp.broadcast_to(noise, (len(images), *noise.shape))
      made = self.model.apply(
        variables, images, noise, train=False, method="generate"
      )
      return to_pixels(made)

    return generated_images.pages(
      generate,
      examples,
      class_names=self.components.class_names,
      noise=self.model.noise,
    )

  def _normalized(self, batch: Batch) -> dict[str, jax.Array]:
    normalization = self.components.normalization
    num_classes = len(self.components.class_names)
    return {
      "image": data.normalize(batch["image"], normalization),
      "partner": data.normalize(batch["partner"], normalization),
      "targets": jax.nn.one_hot(batch["label"], num_classes),
      "mask": batch["mask"],
    }


def to_pixels(images: jax.Array) -> jax.Array:
  """Images in [-1, 1] as uint8."""
  return jnp.rint((images + 1) * 127.5).clip(0, 255).astype(jnp.uint8)


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
  """What the metrics of an evaluation say against the training; "" if nothing.

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
  if not all(hasattr(model, each) for each in ("generate", "criticize")):
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


def _reversed(x: jax.Array) -> jax.Array:
  """x, whose derivative has the opposite sign (Ganin and Lempitsky 2015)."""
  return 2 * jax.lax.stop_gradient(x) - x


def _sums(found: Mapping[str, jax.Array], mask: jax.Array) -> Tree:
  """The sums over the examples that count, and their number."""
  return {
    **{k: jnp.where(mask, v, 0.0).sum() for k, v in found.items()},
    "count": mask.astype(jnp.int32).sum(),
  }


def _moments(images: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The sums of reduced images (d,), and of their products (d, d)."""
  count, _, _, channels = images.shape
  shape = (count, _CELLS, _CELLS, channels)
  cells = jax.image.resize(images, shape, "linear").reshape(count, -1)
  cells = jnp.where(mask[:, None], cells, 0.0)
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
  table = pages.Table(
    columns={"metric": "text", "value": "number"},
    rows=[[name, value] for name, value in values.items()],
  )
  note = problem(values) or (
    "The slope of the critic is near 1, and the noise changes the images."
  )
  return Artifacts(
    arrays={name: np.asarray(value) for name, value in values.items()},
    pages=[pages.Page(title="Generator and critic", note=note, table=table)],
  )
