"""`jaxvision plan`."""

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
    "tell what a run needs on devices that are not here, by compiling for them",
    epilog="Any key of the config can be set, as for `jaxvision train`. Exit "
    f"code {DOES_NOT_FIT}: it does not fit.",
  )
  command.add_argument(
    "--config", type=paths.expanded, required=True, metavar="FILE.py[:ARGUMENT]"
  )
  command.add_argument(
    "--topology",
    required=True,
    metavar="KIND:SIZES",
    help="v5e:16x16, v5p:4x4x4, v6e:4x4; 2xv5e:16x16, two slices; cpu:8",
  )
  command.add_argument(
    "--mesh",
    type=_mesh,
    default={},
    metavar="AXIS=N[,AXIS=N]",
    help="fsdp, data, replica, in place of the config's",
  )
  command.add_argument(
    "--memory",
    type=_positive,
    metavar="GIB",
    help="of a device (what its kind has)",
  )
  command.add_argument(
    "--tries",
    type=int,
    default=6,
    metavar="N",
    help="compilations at most to make it fit, and as many, but at most 3, for "
    "the largest batch (6); 0: none of them",
  )
  command.add_argument(
    "--json",
    type=paths.expanded,
    metavar="FILE",
    help="where to write the plan as JSON, too",
  )


def _mesh(given: str) -> dict[str, int]:
  """{"fsdp": 16, "data": 4} of "fsdp=16,data=4"."""
  sizes = {}
  for word in given.split(","):
    axis, _, size = word.partition("=")
    if not size.isdecimal():
      raise argparse.ArgumentTypeError(
        f"{word!r} is no axis and its size; write fsdp=16, or fsdp=16,data=4"
      )
    sizes[axis] = int(size)
  return sizes


def _positive(given: str) -> float:
  try:
    size = float(given)
  except ValueError:
    size = 0.0
  if size <= 0:
    raise argparse.ArgumentTypeError(f"{given!r} is no size in GiB, as 15.75")
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
