"""LSUV: unit variance in every layer after one pass, and quick learning.

  python experiments/papers/layer_scales.py

Layer-sequential unit-variance initialisation (Mishkin and Matas 2015): kernels
are orthonormal, and then, layer by layer from the input on, divided by the
standard deviation of the layer's outputs before the activation on one batch.
Networks of ten hidden layers of 64 units with tanh, ReLU and swish learn 1,000
digits of MNIST by SGD with momentum 0.9 in 200 steps of full batches, from
LSUV, from He's initialisation and from Gaussians with the standard deviation
0.01. The rate of each is the best of five by the mean loss over the seeds.
There are five seeds.

How to read the answer: the claim has three parts: (a) after one pass, the
variance before each activation is 1 up to 1e-3, (b) from 0.01 no network
learns: the training loss after 200 steps is above 2.2, where log 10 = 2.303,
and (c) from LSUV, the loss is not larger than from He with any activation: the
95 % interval of the paired difference of its logarithms is not above 0. The
claim "holds" if all parts are true, and "holds in part" if (a) and one more
are.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import arms
import claims
import jax
import jax.numpy as jnp
import numpy as np
import optax
import small_mnist

CLAIM = claims.Claim(
  sentence="Dividing the kernels of an orthonormal initialisation by the scale "
  "of their outputs lets deep networks learn at once.",
  source="Mishkin and Matas 2015, All you need is a good init",
  published="CIFAR-10, ResNet-56: 94.18 % to 94.4 %",
  data="MNIST, 1,000 digits for training",
  untested="Networks with batch normalisation or shortcuts.",
)
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
  "tanh": jnp.tanh,
  "ReLU": jax.nn.relu,
  "swish": jax.nn.swish,
}
STARTS = ("LSUV", "He", "0.01")
_WIDTH, _LAYERS, _CLASSES, _STEPS, _SEEDS = 64, 10, 10, 200, 5
_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)

Kernels = list[jax.Array]


def outputs(kernels: Kernels, x: jax.Array, activation: Callable) -> Any:
  """Returns the values before each activation, and the logits."""
  found = []
  for kernel in kernels[:-1]:
    found.append(x @ kernel)
    x = activation(found[-1])
  return found, x @ kernels[-1]


def start(
  name: str, x: jax.Array, activation: Callable, seed: int
) -> tuple[Kernels, float]:
  """Returns the kernels, and the largest deviation of a variance from 1."""
  rng = np.random.default_rng(seed)
  sizes = [x.shape[1], *[_WIDTH] * _LAYERS, _CLASSES]
  kernels = []
  for fan_in, fan_out in itertools.pairwise(sizes):
    kernel = rng.normal(size=(fan_in, fan_out))
    if name == "LSUV":
      kernel = np.linalg.qr(kernel)[0]
      kernel = kernel[:, :fan_out]
    scale = {"LSUV": 1.0, "He": (2 / fan_in) ** 0.5, "0.01": 0.01}[name]
    kernels.append(jnp.asarray(scale * kernel, jnp.float32))
  if name == "LSUV":
    for i in range(_LAYERS):
      values, _ = outputs(kernels, x, activation)
      kernels[i] = kernels[i] / values[i].std()
  values, _ = outputs(kernels, x, activation)
  return kernels, max(abs(float(each.var()) - 1) for each in values)


def learn(
  kernels: Kernels, x: jax.Array, targets: jax.Array, activation: Callable
) -> np.ndarray:
  """Returns the losses (rates, steps + 1) of the training at each rate."""

  def value(kernels):
    _, logits = outputs(kernels, x, activation)
    return optax.softmax_cross_entropy(logits, targets).mean()

  def of_rate(rate):
    optimizer = optax.sgd(rate, momentum=0.9)

    def step(carry, _):
      kernels, state = carry
      loss, slope = jax.value_and_grad(value)(kernels)
      updates, state = optimizer.update(slope, state)
      return (optax.apply_updates(kernels, updates), state), loss

    carry = kernels, optimizer.init(kernels)
    return jax.lax.scan(step, carry, length=_STEPS + 1)[1]

  return np.asarray(jax.jit(jax.vmap(of_rate))(jnp.asarray(_RATES)))


def measure(quick: bool) -> claims.Finding:
  """Trains from all starts with all activations."""
  x, targets = _digits(100 if quick else 1000)
  curves, deviation = {}, 0.0
  for kind, activation in ACTIVATIONS.items():
    for name in STARTS:
      found = []
      for seed in range(2 if quick else _SEEDS):
        kernels, error = start(name, x, activation, seed)
        deviation = max(deviation, error if name == "LSUV" else 0.0)
        found.append(learn(kernels, x, targets, activation))
      losses = np.nan_to_num(np.stack(found), nan=np.inf)
      best = int(np.argmin(losses[:, :, -1].mean(axis=0)))
      curves[kind, name] = losses[:, best]
  last = {key: each[:, -1] for key, each in curves.items()}
  compared = arms.compare(
    {
      kind: (np.log(last[kind, "LSUV"]), np.log(last[kind, "He"]))
      for kind in ACTIVATIONS
    }
  )
  parts = (
    deviation < 1e-3,
    all(last[kind, "0.01"].min() > 2.2 for kind in ACTIVATIONS),
    all(each.mean - each.half <= 0 for each in compared.values()),
  )
  verdict = "holds in part" if parts[0] and sum(parts) > 1 else "does not hold"
  return claims.Finding(
    ours=f"variances deviate by {deviation:.1g} from 1; loss from LSUV, He and "
    "0.01: "
    + "; ".join(
      f"{kind} " + ", ".join(f"{last[kind, s].mean():.3g}" for s in STARTS)
      for kind in ACTIVATIONS
    ),
    verdict="holds" if all(parts) else verdict,
    seeds=_SEEDS,
    figure=_draw(curves),
  )


def _digits(count: int) -> tuple[jax.Array, jax.Array]:
  images, labels = small_mnist.digits("train", count)
  x = images.reshape(count, -1) / 255.0
  x = jnp.asarray((x - x.mean()) / x.std(), jnp.float32)
  return x, jax.nn.one_hot(labels, _CLASSES)


def _draw(curves: Mapping[tuple[str, str], np.ndarray]) -> Any:
  made, panels = claims.figure(3)
  for axes, kind in zip(panels, ACTIVATIONS, strict=True):
    for name in STARTS:
      axes.plot(curves[kind, name].mean(axis=0), label=name)
    axes.set(xlabel="step", yscale="log")
    axes.set_title(kind, fontsize=9)
  panels[0].set_ylabel("training loss")
  panels[0].legend(fontsize=7)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
