"""Steps per second of the training loop, compared with a hand-written loop.

  python experiments/benchmarks/step.py
  python experiments/benchmarks/step.py --models linear mlp --rounds 9

Every variant trains the same model on the same batches for the same number of
steps. All variants take turns in rounds, in one process: on a machine with
other load only adjacent measurements can be compared. The table shows the
medians over the rounds, and the medians of the ratios within a round, for the
wall time and for the processor time of all threads. Other load affects the
processor time less (with an accelerator it is only the work of the host).

  plain     one jitted, donated step, called in a `for`. It normalises, augments
            and takes one step of the optimizer. The batches are on the device
            before the measurement starts. Nothing is measured, read or written.
  host      `train_loop.run_loop` with data.placement "host". Threads assemble
            the batches and send them. Loss, accuracy and gradient norm of every
            step are read and checked. The recipe's lines are written to
            metrics.jsonl and TensorBoard. There is no evaluation, no checkpoint
            and no moving average.
  device    the same with data.placement "device": only indices are sent.
  device xK the same with train.steps_per_dispatch K.
"""

import argparse
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvision import config as configs
from jaxvision import data, parallel, trees
from jaxvision.runs import metrics_log
from jaxvision.training import setup
from jaxvision.training.loop import compilation, train_loop
from jaxvision.xla import cache

Tree = Any

_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@dataclasses.dataclass(frozen=True)
class Workload:
  """The training of one round of one variant.

  Attributes:
    recipe: a config.
    steps: in a round; a multiple of `block`.
    block: K, steps per dispatch.
    image_size: of the synthetic images; 0 means the recipe's data.
    overrides: of the recipe.
  """

  recipe: str
  steps: int
  block: int
  image_size: int = 0
  overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _at_224(model: str) -> Workload:
  overrides = {
    "model.name": model,
    "data.num_classes": 1000,
    "data.device_transforms": ("random_flip",),
    "optimizer.options.momentum": 0.9,
    "train.batch_size": 8,
  }
  recipe = str(_CONFIGS / "default.py")
  return Workload(recipe, 4, 2, image_size=224, overrides=overrides)


WORKLOADS = {
  "linear": Workload(f"{_CONFIGS}/digits.py:linear", 1600, 8),
  "mlp": Workload(f"{_CONFIGS}/digits.py:mlp", 800, 8),
  "resnet": Workload(f"{_CONFIGS}/digits.py:resnet", 40, 4),
  "vit": Workload(f"{_CONFIGS}/digits.py:vit", 40, 4),
  "resnet50": _at_224("resnet50"),
  "vit_s16": _at_224("vit_s16"),
}


def quick(workload: Workload) -> Workload:
  """Returns a workload of a few steps on small images, to test the script."""
  steps, size = 2 * workload.block, min(workload.image_size, 32)
  return dataclasses.replace(workload, steps=steps, image_size=size)


def prepare(
  workload: Workload, folder: pathlib.Path, *, placement: str, block: int
) -> tuple[configs.ConfigDict, setup.Parts]:
  """Returns the config and the parts of a run of the workload.

  Args:
    workload: the training.
    folder: for the synthetic images.
    placement: data.placement.
    block: train.steps_per_dispatch.
  """
  overrides = {
    **workload.overrides,
    "data.validation": "",
    "data.test": "",
    "data.placement": placement,
    "ema.decay": 0.0,
    "train.duration": f"{workload.steps} steps",
    "train.steps_per_dispatch": block,
    "evaluate.every": "100 percent",
    "checkpoint.every": "100 percent",
  }
  if workload.image_size:
    path = folder / "images.npz"
    if not path.exists():
      save_noise(path, size=workload.image_size)
    overrides |= {"data.kind": "npz", "data.name": str(path)}
  config = configs.load(workload.recipe, overrides)
  return config, setup.prepare(config, setup.open_splits(config))


def save_noise(path: pathlib.Path, *, size: int) -> None:
  """Writes 64 random images (size, size, 3) of 64 classes."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (64, size, size, 3), np.uint8)
  np.savez(path, images=images, labels=np.arange(64))


def make_plain(
  config: configs.ConfigDict, parts: setup.Parts
) -> tuple[Callable[[], Tree], Callable]:
  """Returns the hand-written loop.

  Args:
    config, parts: of a run; the loop and the step are not used.

  Returns:
    init() -> state, and train(state) -> state after all steps.
  """
  init, step = _plain_functions(config, parts)
  whole = parallel.replicated(parts.mesh)
  split = parallel.batch_sharding(parts.mesh)
  batches = [
    jax.device_put(parts.batches["train"].at(number), split)
    for number in range(parts.steps.total)
  ]
  step = jax.jit(step, donate_argnums=0, out_shardings=whole)

  def train(state: Tree) -> Tree:
    for batch in batches:
      state = step(state, batch)
    return state

  return jax.jit(init, out_shardings=whole), train


def _plain_functions(
  config: configs.ConfigDict, parts: setup.Parts
) -> tuple[Callable, Callable]:
  """Returns init() -> state and step(state, batch) -> state, a dictionary."""
  model = parts.model
  augment = data.make_device_transform(config.data.device_transforms)
  optimizer = _plain_optimizer(config.optimizer, parts.schedule)
  smoothing = config.loss.options.get("label_smoothing", 0.0)
  mean, std = (
    jnp.asarray(values, jnp.float32).reshape(1, 1, 1, -1)
    for values in (config.data.mean, config.data.std)
  )

  def loss(params, model_state, batch, key):
    augment_key, dropout_key = jax.random.split(key)
    images = (batch["image"].astype(jnp.float32) / 255 - mean) / std
    targets = jax.nn.one_hot(batch["label"], model.num_classes)
    logits, model_state = model.apply(
      {"params": params, **model_state},
      augment(augment_key, {"image": images})["image"],
      train=True,
      mutable=list(model_state),
      rngs={"dropout": dropout_key},
    )
    targets = optax.smooth_labels(targets, smoothing)
    losses = optax.softmax_cross_entropy(logits, targets)
    return losses.mean(), dict(model_state)

  def init() -> Tree:
    images = jnp.zeros((1, *parts.image_shape))
    variables = model.init(jax.random.key(config.seed), images, train=False)
    params = variables.pop("params")
    opt_state = optimizer.init(params)
    return {"params": params, "model": variables, "opt": opt_state, "step": 0}

  def step(state: Tree, batch: Tree) -> Tree:
    key = jax.random.fold_in(jax.random.key(config.seed), state["step"])
    gradients, model_state = jax.grad(loss, has_aux=True)(
      state["params"], state["model"], batch, key
    )
    updates, opt_state = optimizer.update(
      gradients, state["opt"], state["params"]
    )
    return {
      "params": optax.apply_updates(state["params"], updates),
      "model": model_state,
      "opt": opt_state,
      "step": state["step"] + 1,
    }

  return init, step


def _plain_optimizer(
  config: configs.ConfigDict, schedule: optax.Schedule
) -> optax.GradientTransformation:
  """Returns one of the two optimizers of these recipes, from optax."""
  options = config.options.to_dict()
  if config.name == "sgd":
    return optax.sgd(schedule, **options)
  return optax.adamw(
    schedule,
    weight_decay=config.weight_decay,
    mask=lambda params: jax.tree_util.tree_map_with_path(
      lambda path, _: path[-1].key == "kernel", params
    ),
    **options,
  )


def make_loop(
  config: configs.ConfigDict, parts: setup.Parts
) -> tuple[Callable[[], Tree], Callable]:
  """Returns jaxvision's loop as init() and train(state), see `make_plain`."""
  step, feed, _ = compilation.compile_step(parts)

  def train(state: Tree) -> Tree:
    with (
      tempfile.TemporaryDirectory() as folder,
      metrics_log.open_metrics(
        folder, first_step=0, tensorboard=config.log.tensorboard
      ) as write,
    ):
      program = train_loop.Program(
        step=step,
        feed=feed,
        measure=lambda state: [{}],
        final=lambda state: [None],
        not_finite=lambda state: [trees.not_finite(state)],
      )
      member = train_loop.Member(
        record=train_loop.empty_record(),
        schedule=parts.schedule,
        write=write,
        # Nothing is saved.
        save=lambda *_, **__: None,
        wait=lambda: None,
      )
      settings = train_loop.Settings(
        steps=parts.steps,
        batch_size=config.train.batch_size,
        num_examples=parts.splits["train"].num_examples,
      )
      return train_loop.run_loop(
        program,
        state,
        members=[member],
        settings=settings,
        should_stop=lambda: False,
      ).state

  return parts.init, train


def make_variants(
  workload: Workload, folder: pathlib.Path
) -> dict[str, tuple[Callable[[], Tree], Callable]]:
  """Returns init() and train(state) -> state by name, plain first."""
  resident = prepare(workload, folder, placement="device", block=1)
  blocks = prepare(workload, folder, placement="device", block=workload.block)
  return {
    "plain": make_plain(*resident),
    "host": make_loop(*prepare(workload, folder, placement="host", block=1)),
    "device": make_loop(*resident),
    f"device x{workload.block}": make_loop(*blocks),
  }


def measure(
  variants: Mapping[str, tuple[Callable[[], Tree], Callable]], *, rounds: int
) -> dict[str, np.ndarray]:
  """Returns seconds of each variant: (rounds, 2), wall and processor time.

  A first round is not counted.
  """
  seconds = {name: [] for name in variants}
  for number in range(rounds + 1):
    for name, (init, train) in variants.items():
      state = jax.block_until_ready(init())
      start = time.perf_counter(), time.process_time()
      jax.block_until_ready(train(state))
      end = time.perf_counter(), time.process_time()
      if number:
        seconds[name].append(np.subtract(end, start))
  return {name: np.asarray(times) for name, times in seconds.items()}


def table_rows(
  model: str,
  seconds: Mapping[str, np.ndarray],
  *,
  steps: int,
  batch_size: int,
) -> list[str]:
  """Returns the lines of a Markdown table of the result of `measure`."""
  rows = []
  for name, times in seconds.items():
    rate = steps / np.median(times[:, 0])
    wall, processor = np.median(times / seconds["plain"], axis=0)
    more = np.median(times - seconds["plain"], axis=0)[0] / steps
    rows.append(
      f"| {model} | {name} | {rate:,.4g} | {rate * batch_size:,.4g} "
      f"| {wall:.3f} | {processor:.3f} | {more * 1e6:+,.0f} |"
    )
  return rows


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--models", nargs="+", default=list(WORKLOADS))
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--quick", action="store_true", help="a few small steps")
  options = parser.parse_args(arguments)
  cache.cache_compilations()
  columns = ("steps/s", "images/s", "wall / plain", "CPU / plain")
  print(f"| model | loop | {' | '.join(columns)} | µs a step more |")
  print("|---|---|---:|---:|---:|---:|---:|", flush=True)
  for model in options.models:
    workload = WORKLOADS[model]
    workload = quick(workload) if options.quick else workload
    with tempfile.TemporaryDirectory() as folder:
      variants = make_variants(workload, pathlib.Path(folder))
      seconds = measure(variants, rounds=options.rounds)
    config = configs.load(workload.recipe, workload.overrides)
    rows = table_rows(
      model,
      seconds,
      steps=workload.steps,
      batch_size=config.train.batch_size,
    )
    print("\n".join(rows), flush=True)


if __name__ == "__main__":
  main()
