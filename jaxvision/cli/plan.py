"""The command `jaxvision plan`."""

import argparse
import dataclasses

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

DOES_NOT_FIT = 4


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "plan",
    _plan,
    "predict memory and speed of a run on other devices, by compiling for them",
    examples=(
      "plan --config configs/digits.py:mlp --topology cpu:8 --mesh fsdp=8",
      "plan --config configs/vit_s16_i1k.py --topology v5e:4x4",
      "plan --config configs/vgg16_i1k.py --topology v5p:2x2x2 --json a.json",
    ),
    note="Any key of the config can be set, as for `jaxvision train`. Exit "
    f"code {DOES_NOT_FIT}: the run does not fit.",
  )
  command.add_argument(
    "--config", type=paths.expanded, required=True, metavar="FILE.py[:ARGUMENT]"
  )
  command.add_argument(
    "--topology",
    required=True,
    metavar="KIND:SIZES",
    help="v5e:16x16, v5p:4x4x4, v6e:4x4; two slices: 2xv5e:16x16; cpu:8",
  )
  command.add_argument(
    "--mesh",
    type=_mesh,
    default={},
    metavar="AXIS=N[,AXIS=N]",
    help="fsdp, data, replica; replaces the mesh of the config",
  )
  command.add_argument(
    "--memory",
    type=_positive,
    metavar="GIB",
    help="memory of a device (default: of its kind)",
  )
  command.add_argument(
    "--tries",
    type=int,
    default=6,
    metavar="N",
    help="maximum number of compilations to make the run fit, and up to 3 more "
    "for the largest batch (6); 0 disables both",
  )
  command.add_argument(
    "--json",
    type=paths.expanded,
    metavar="FILE",
    help="also write the plan as JSON",
  )


def _mesh(given: str) -> dict[str, int]:
  """Parses "fsdp=16,data=4" to {"fsdp": 16, "data": 4}."""
  sizes = {}
  for word in given.split(","):
    axis, _, size = word.partition("=")
    if not size.isdecimal():
      raise argparse.ArgumentTypeError(
        f"{word!r} is not AXIS=SIZE; write fsdp=16, or fsdp=16,data=4"
      )
    sizes[axis] = int(size)
  return sizes


def _positive(given: str) -> float:
  try:
    size = float(given)
  except ValueError:
    size = 0.0
  if size <= 0:
    raise argparse.ArgumentTypeError(
      f"{given!r} is not a size in GiB, as 15.75"
    )
  return size


def _plan(options: argparse.Namespace) -> int:
  from jaxvision import plan
  from jaxvision.xla import settings

  if options.topology.startswith("cpu"):
    settings.tune_cpu()
  made = plan.plan(
    options.config,
    topology=options.topology,
    mesh=options.mesh,
    overrides=options.overrides,
    memory=options.memory,
    tries=options.tries,
  )
  console.say(plan.show(made))
  if options.json:
    files.write_json(options.json, dataclasses.asdict(made))
  return 0 if made.figures.fits else DOES_NOT_FIT
