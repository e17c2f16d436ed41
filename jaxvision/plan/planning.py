"""A plan: what a run would need on some devices, and what would make it fit."""

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

_SEARCH = 3  # Compilations for the largest batch.


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is known of a run on some devices.

  Attributes:
    model: its name.
    topology: as it was asked for.
    device: the kind of the devices.
    devices: how many.
    image_shape: (h, w, c).
    num_classes: of the data.
    missing: why the data are not here; "" where they are.
    figures: of the run as its config says.
    remedies: what was tried to make it fit; the last one does, if any.
    batches: other sizes of the batch that were tried.
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
    """The largest batch of those compiled that fits; None where none does."""
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
  """Compiles the step of a run for devices that are not here.

  Call it before jax has started: it starts jax on the CPU. What was compiled
  before is remembered.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp".
    topology: "v5e:16x16" or "cpu:8", see `jaxvision.plan.topology`.
    mesh: sizes of the mesh, {"fsdp": 256}, in place of the config's.
    overrides: by dotted key, as {"optimizer.learning_rate": 0.1}.
    memory: of one device, in GiB; None is what its kind has.
    tries: compilations at most to find what makes it fit; 0 tries nothing,
      nor looks for the largest batch.

  Raises:
    ValueError, FileNotFoundError: the config, the topology and the mesh do
      not go together, or libtpu is missing.
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
    return cache.recall(
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
