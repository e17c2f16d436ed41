"""The networks of a study of compound scaling, and the files that name them.

A definition is a Python file such as compound_mnist.py. A plan is the networks
of a sweep: {label: {"scaling": factors, "macs": multiply-accumulates}}.
"""

import functools
import pathlib
import pprint
import types
from collections.abc import Mapping
from typing import Any

import jax

from jaxvision import config as configs
from jaxvision import summary, user_code, variables
from jaxvision.sweeps.search import compound_scaling
from jaxvision.sweeps.search.compound_scaling import Scaling
from jaxvision.training import setup

Plan = dict[str, dict[str, Any]]
_NAMES = ("BASE", "OVERRIDES", "image_size", "scale")


def open_definition(path: str | pathlib.Path) -> types.ModuleType:
  """Loads a definition.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: a name is missing.
  """
  module = user_code.load_module(user_code.open_file(str(path)))
  missing = [name for name in _NAMES if not hasattr(module, name)]
  if missing:
    raise ValueError(
      f"{path} lacks {', '.join(missing)}; a definition has "
      f"{', '.join(_NAMES)}, as experiments/compound_mnist.py shows"
    )
  return module


def load_config(
  definition: types.ModuleType, scaling: Scaling
) -> configs.ConfigDict:
  """Returns the config of a scaled network."""
  values = definition.scale(scaling.depth, scaling.width, scaling.resolution)
  return configs.load(definition.BASE, {**definition.OVERRIDES, **values})


def count_macs(
  definition: types.ModuleType,
) -> compound_scaling.Macs:
  """Returns macs(depth, width, resolution), which traces each network once."""

  @functools.cache
  def macs(depth: float, width: float, resolution: float) -> int:
    model, shape = _network(definition, Scaling(depth, width, resolution))
    return round(summary.flops_per_image(model, image_shape=shape) / 2)

  return macs


def identify(definition: types.ModuleType, scaling: Scaling) -> tuple[Any, ...]:
  """Returns the shapes of the image and of all parameters of a network."""
  model, shape = _network(definition, scaling)
  leaves = jax.tree_util.tree_leaves_with_path(
    variables.variable_shapes(model, image_shape=shape)
  )
  return shape, *(
    (jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves
  )


def _network(
  definition: types.ModuleType, scaling: Scaling
) -> tuple[Any, tuple[int, int, int]]:
  config = load_config(definition, scaling)
  if not config.data.num_classes:
    raise ValueError(
      f"{definition.BASE} has data.num_classes = 0; set it in OVERRIDES of the "
      "definition, so that networks are counted without data"
    )
  side = definition.image_size(scaling.resolution)
  model = setup.make_model(config, config.data.num_classes)
  return model, (side, side, config.data.channels)


def experiment_text(
  definition: types.ModuleType,
  plan: Plan,
  *,
  question: str,
  read: str,
  seeds: int,
) -> str:
  """Returns an experiment of `jaxvision sweep` over the networks of a plan."""
  lines = [
    f'"""{question}\n\nWritten by experiments/compound_scaling.py.\n"""\n',
    "from jaxvision import sweep\n",
    f"QUESTION = {question!r}",
    f"BASE = {definition.BASE!r}",
    f"OVERRIDES = {_pretty(definition.OVERRIDES)}",
    "_NETWORKS = {",
  ]
  for label, network in plan.items():
    values = definition.scale(**network["scaling"])
    lines += [
      f"  # {network['macs']:,} multiply-accumulates.",
      f"  {label!r}: {_pretty(values)},",
    ]
  return "\n".join(
    [
      *lines,
      "}",
      "SPACE = {",
      '  "scaling": sweep.grid(_NETWORKS),',
      f'  "seed": sweep.seeds({seeds}),',
      "}",
      'OBJECTIVE = sweep.maximize("validation/top1")',
      f"READ = {_pretty(read)}\n",
    ]
  )


def family_text(
  definition: types.ModuleType, members: Mapping[str, Scaling], *, about: str
) -> str:
  """Returns a recipe whose argument is the name of a member.

  It is complete: it does not read the base config.

  Args:
    definition: of the networks.
    members: name -> scaling.
    about: first paragraph of its docstring.
  """
  configs_of = {
    name: load_config(definition, scaling) for name, scaling in members.items()
  }
  return configs.write_recipe(configs_of, about=about)


def _pretty(value: Any) -> str:
  return pprint.pformat(value, sort_dicts=False, width=76)
