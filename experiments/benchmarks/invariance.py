"""Difference of parameters that should be equal: by devices, parts, layouts.

  JAX_NUM_CPU_DEVICES=8 python experiments/benchmarks/invariance.py

Every case trains the digits recipe of a model for a few steps, from the same
seed on the same batches, without augmentation and dropout. The table shows the
largest difference of its parameters and their moving averages from those of the
plain run on all devices. The difference is relative to the largest number of
the same array, or to 1e-3 if that is smaller: the gradient of the bias of
attention keys is 0, so their values are rounding errors. "0" means the same
bits. The optimizer is SGD with momentum, because its updates are as exact as
the gradient. AdamW (--optimizer adamw) divides small gradients by their own
size, which amplifies their rounding errors.

The case "one bit off" shows the growth of such a difference. It is the plain
run with each initial parameter replaced by the next larger number.

Accumulated gradients are compared only for models without batch statistics,
because batch statistics depend on the parts. Cases in bfloat16 are compared
with the plain run in bfloat16. The plain run in bfloat16 is compared with the
plain run.
"""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sklearn.datasets

from jaxvision import checkpoint, parallel, trees
from jaxvision import config as configs
from jaxvision.processes import agreement, cluster
from jaxvision.training import setup
from jaxvision.training.loop import compilation
from jaxvision.training.step import train_step
from jaxvision.xla import cache

Arrays = Mapping[str, np.ndarray]

_RECIPE = pathlib.Path(__file__).parents[2] / "configs" / "digits.py"
_EVERY = ((".*", "fsdp(min_size=1)"),)
MODELS = {
  "mlp": "mlp",
  "vit": "vit",
  "resnet, group norm": "resnet",
  "resnet, batch norm": "resnet",
}
_FSDP = {"mesh.fsdp": 0, "mesh.data": 1, "mesh.rules": _EVERY}
_ACCUMULATION = {"train.accumulate": 4}
_TOGETHER = {**_FSDP, **_ACCUMULATION, "train.remat": "products"}
_BFLOAT16 = {"precision.compute": "bfloat16", "precision.output": "bfloat16"}
# Case -> overrides, for all devices of this process.
CASES: dict[str, Mapping[str, Any]] = {
  "again": {},
  "one bit off": {},
  "1 device": {},
  "2 processes": {},
  "accumulation of 4": _ACCUMULATION,
  "remat blocks": {"train.remat": "blocks"},
  "remat products": {"train.remat": "products"},
  "FSDP": _FSDP,
  "FSDP, half of the devices": {**_FSDP, "mesh.data": 2},
  "restart on half of the devices": {},
  "FSDP, restart on half, replicated": _FSDP,
  "without moving average": {"ema.decay": 0.0},
  "FSDP + accumulation + remat": _TOGETHER,
  "bfloat16": _BFLOAT16,
  "bfloat16 + FSDP + accumulation + remat": {**_BFLOAT16, **_TOGETHER},
}
# Case -> the case to compare with, if it is not the plain run.
_REFERENCES = {"bfloat16 + FSDP + accumulation + remat": "bfloat16"}


def overrides(
  model: str, case: str, *, data: pathlib.Path, steps: int, optimizer: str
) -> dict[str, Any]:
  """Returns the overrides of a case for the recipe of its model."""
  options = {"momentum": 0.9} if optimizer == "sgd" else {}
  changed = {
    "data.kind": "npz",
    "data.name": str(data),
    "data.validation": "",
    "data.test": "",
    "data.device_transforms": (),
    "ema.decay": 0.9,
    "train.duration": f"{steps} steps",
    "train.steps_per_dispatch": 1,
    "optimizer.name": optimizer,
    "optimizer.options": options,
    "schedule.warmup": "0 steps",
    **CASES[case],
  }
  if optimizer == "sgd":
    changed["optimizer.learning_rate"] = 0.05
  if "group norm" in model:
    changed["model.options.norm"] = "group_norm(8)"
  return changed


def write_digits(folder: pathlib.Path) -> pathlib.Path:
  """Writes scikit-learn's digits as one file."""
  digits = sklearn.datasets.load_digits()
  path = folder / "digits.npz"
  images = (digits.images * 15.9).astype(np.uint8)[..., None]
  np.savez(path, images=images, labels=digits.target)
  return path


def prepare(
  model: str, changed: Mapping[str, Any], *, devices: Sequence[jax.Device]
) -> setup.Parts:
  """Returns the parts of a run on these devices."""
  config = configs.load(f"{_RECIPE}:{MODELS[model]}", changed)
  splits = setup.open_splits(config)
  return setup.prepare(config, splits, devices=devices)


def train(parts: setup.Parts, *, state: Any = None, stop: int = 0) -> Any:
  """Returns the state after the last step, or after step `stop`."""
  step, feed, _ = compilation.compile_step(parts)
  state = parts.init() if state is None else state
  for number, batch in feed(int(state.step)):
    state, _ = step(state, batch)
    if number == stop:
      break
  return state


def restart(
  model: str, changed: Mapping[str, Any], later: Mapping[str, Any]
) -> Any:
  """Returns the state of a run that resumes on half of the devices."""
  every = jax.devices()
  first = prepare(model, changed, devices=every)
  middle = first.steps.total // 2
  rest = prepare(model, later, devices=every[: len(every) // 2])
  with tempfile.TemporaryDirectory() as folder:
    with checkpoint.open_manager(folder) as manager:
      checkpoint.save(manager, middle, train(first, stop=middle), {})
    with checkpoint.open_manager(folder) as manager:
      state, _ = checkpoint.restore(manager, rest.template)
  return train(rest, state=state)


def parameters(model: str, case: str, changed: Mapping[str, Any]) -> Arrays:
  """Returns parameters and averages after the last step, by path."""
  if "restart" in case:
    whole = {k: v for k, v in changed.items() if k not in _FSDP}
    state = restart(model, changed, whole)
  else:
    devices = jax.devices()[:1] if case == "1 device" else jax.devices()
    parts = prepare(model, changed, devices=devices)
    first = next_larger(parts.init()) if case == "one bit off" else None
    state = train(parts, state=first)
  flat = trees.flatten({"now": state.params, "average": state.ema})
  return {path: parallel.whole(leaf) for path, leaf in flat.items()}


@jax.jit
def next_larger(state: train_step.TrainState) -> train_step.TrainState:
  """Returns a state with every parameter one bit off."""
  larger = lambda x: jnp.nextafter(x, jnp.inf)  # noqa: E731
  return state.replace(params=jax.tree.map(larger, state.params))


def of_two_processes(
  model: str, options: argparse.Namespace, folder: pathlib.Path
) -> Arrays:
  """Returns the parameters of this script run as two processes."""
  path = folder / "parameters.npz"
  command = [sys.executable, __file__, "--models", model, "--save", str(path)]
  command += ["--steps", str(options.steps), "--optimizer", options.optimizer]
  with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
  variables = {
    "JAXVISION_COORDINATOR": f"127.0.0.1:{port}",
    "JAXVISION_NUM_PROCESSES": "2",
    "JAX_NUM_CPU_DEVICES": str(jax.device_count() // 2),
  }
  started = [
    subprocess.Popen(
      command, env={**os.environ, **variables, "JAXVISION_PROCESS_ID": number}
    )
    for number in "01"
  ]
  codes = [each.wait() for each in started]
  if any(codes):
    raise RuntimeError(f"{' '.join(command)} failed as two processes")
  return dict(np.load(path))


def difference(found: Arrays, expected: Arrays) -> float:
  """Returns the largest difference relative to its array's largest number."""
  return max(
    float(np.abs(found[path] - array).max() / max(np.abs(array).max(), 1e-3))
    for path, array in expected.items()
    if path in found
  )


def applies(model: str, case: str) -> bool:
  """Returns whether a case applies to a model and keeps its numbers."""
  if model == "mlp" and CASES[case].get("train.remat") == "blocks":
    return False
  if "batch norm" in model and "train.accumulate" in CASES[case]:
    return False
  return case != "2 processes" or jax.default_backend() == "cpu"


def measure(
  model: str, options: argparse.Namespace, folder: pathlib.Path
) -> dict[str, str]:
  """Returns the difference from the plain run by case; "" if left out."""
  data = write_digits(folder)

  def find(case: str) -> Arrays:
    if case == "2 processes":
      return of_two_processes(model, options, folder)
    changed = overrides(
      model,
      case,
      data=data,
      steps=options.steps,
      optimizer=options.optimizer,
    )
    return parameters(model, case, changed)

  plain, known, cells = find("again"), {}, {}
  for case in CASES:
    cells[case] = ""
    if applies(model, case):
      known[case] = find(case)
      expected = known[_REFERENCES[case]] if case in _REFERENCES else plain
      found = difference(known[case], expected)
      cells[case] = f"{found:.1e}" if found else "0"
    print(f"{model}, {case}: {cells[case]}", file=sys.stderr, flush=True)
  return cells


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--models", nargs="+", default=list(MODELS))
  parser.add_argument("--steps", type=int, default=20)
  parser.add_argument("--optimizer", choices=("sgd", "adamw"), default="sgd")
  parser.add_argument("--save", type=pathlib.Path, help=argparse.SUPPRESS)
  options = parser.parse_args(arguments)
  cache.cache_compilations()
  cluster.start()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if options.save:
      (model,) = options.models
      save(model, options, folder)
      return
    cells = {each: measure(each, options, folder) for each in options.models}
  print(f"| | {' | '.join(cells)} |")
  print(f"|---|{'---:|' * len(cells)}")
  for case in CASES:
    print(f"| {case} | {' | '.join(found[case] for found in cells.values())} |")


def save(model: str, options: argparse.Namespace, folder: pathlib.Path) -> None:
  """Writes the parameters of one of two processes."""
  changed = overrides(
    model,
    "2 processes",
    data=write_digits(folder),
    steps=options.steps,
    optimizer=options.optimizer,
  )
  found = parameters(model, "2 processes", changed)
  if agreement.is_first():
    np.savez(options.save, **found)


if __name__ == "__main__":
  main()
