"""A plan: the requirements of a run on some devices, and changes that fit."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxvision import config as configs
from jaxvision import lookup, parallel, user_code
from jaxvision.plan import (
  advice,
  cache,
  compilation,
  placeholder_data,
  topology,
)
from jaxvision.training.setup import initial_state

_SEARCH = 3  # Maximum number of compilations for the largest batch.


@dataclasses.dataclass(frozen=True)
class Plan:
  """The plan of a run on some devices.

  Attributes:
    model: name of the model.
    topology: the topology as given.
    device: kind of the devices.
    devices: number of devices.
    image_shape: (h, w, c).
    num_classes: number of classes of the data.
    missing: why the data are missing; "" if they are available.
    figures: figures of the run with its config.
    remedies: changes that were tried; the last one fits if any does.
    batches: other batch sizes that were tried.
  """

  model: str
  topology: str
  device: str
  devices: int
  image_shape: tuple[int, int, int]
  num_classes: int
  missing: str
  figures: compilation.Figures
  remedies: tuple[advice.Trial, ...]
  batches: tuple[advice.Trial, ...]

  @property
  def largest_batch(self) -> int | None:
    """The largest compiled batch that fits; None if no batch fits."""
    found = [self.figures, *(each.figures for each in self.batches)]
    return max(
      (each.batch_size for each in found if each and each.fits), default=None
    )


def plan(
  recipe: str,
  *,
  topology: str,
  mesh: Mapping[str, int] | None = None,
  overrides: Mapping[str, Any] | None = None,
  memory: float | None = None,
  tries: int = 6,
) -> Plan:
  """Compiles the step of a run for devices that this machine does not have.

  Call it before jax has started: it starts jax on the CPU. Figures of earlier
  compilations are cached.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp".
    topology: "v5e:16x16" or "cpu:8", see `jaxvision.plan.topology`.
    mesh: sizes of the mesh, as {"fsdp": 256}; they replace those of the config.
    overrides: {dotted key: value}, as {"optimizer.learning_rate": 0.1}.
    memory: memory of one device in GiB; None for that of its kind.
    tries: maximum number of compilations to make the run fit; 0 disables this
      and the search for the largest batch.

  Raises:
    ValueError, FileNotFoundError: config, topology and mesh are incompatible,
      or libtpu is missing.
  """
  config = configs.load(recipe, {**(overrides or {}), **_of_mesh(mesh or {})})
  return _plan(config, topology, memory, tries)


def _of_mesh(mesh: Mapping[str, int]) -> dict[str, int]:
  for name in mesh:
    if name not in parallel.AXES:
      raise ValueError(lookup.unknown("axis of the mesh", name, parallel.AXES))
  return {f"mesh.{name}": size for name, size in mesh.items()}


def _plan(
  config: configs.ConfigDict, name: str, memory: float | None, tries: int
) -> Plan:
  devices = topology.devices(name)
  config = initial_state.with_implied_options(config)
  split = placeholder_data.open_split(config)
  capacity = int(memory * 2**30) if memory else None
  facts = {
    "topology": name,
    "libtpu": "" if name.startswith("cpu") else topology.version(),
    "image_shape": split.image_shape,
    "classes": len(split.dataset.class_names),
    "examples": split.dataset.num_examples,
    "capacity": capacity,
  }

  def measure(config: configs.ConfigDict) -> compilation.Figures:
    return cache.cached(
      {**facts, "config": config.to_dict()},
      lambda: compilation.measure(config, split, devices, capacity=capacity),
    )

  figures = measure(config)
  remedies, batches = [], []
  if tries and figures.capacity:
    batches = advice.largest_batch(
      config, figures, measure, tries=min(tries, _SEARCH)
    )
    if not figures.fits:
      remedies = advice.until_it_fits(config, figures, measure, tries=tries)
  return Plan(
    model=user_code.as_written(config.model.name),
    topology=name,
    device=devices[0].device_kind,
    devices=len(devices),
    image_shape=split.image_shape,
    num_classes=facts["classes"],
    missing=split.missing,
    figures=figures,
    remedies=tuple(remedies),
    batches=tuple(batches),
  )
