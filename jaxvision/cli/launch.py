"""The command `jaxvision launch`: runs a command as several processes."""

import argparse
import dataclasses
import math
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from jaxvision import launch, lookup
from jaxvision.cli import parsing, workers
from jaxvision.files import paths
from jaxvision.launch import job as jobs
from jaxvision.processes import console

_EXAMPLE = "train --config configs/digits.py --workdir runs/digits"
_LARGE = "train --config configs/vit_s16_i1k.py --workdir /shared/runs/vit"
_TPU = (
  "launch tpu --name vit --zone us-central2-b --accelerator v4-32 --runtime "
  "tpu-ubuntu2204-base"
)
_EXAMPLES = {
  "local": (
    f"launch local --processes 2 --devices 4 -- {_EXAMPLE}",
    f"launch local --processes 8 --gpus 1 -- {_EXAMPLE}",
    f"launch local --processes 1 --restarts 10 -- {_EXAMPLE}",
  ),
  "slurm": (
    f"launch slurm --nodes 4 --gpus 8 --time 12:00:00 -- {_LARGE}",
    f"launch slurm --tasks 2 --extra=--wait -- {_LARGE}",
    "launch slurm --array 8 -- sweep experiments/optimizers.py --workdir "
    "/shared/runs/optimizers",
  ),
  "ray": (
    f"launch ray --workers 2 --devices 1 -- {_EXAMPLE}",
    f"launch ray --address auto --workers 2:4 --gpus 8 -- {_LARGE}",
    f"launch ray --workers 4 --topology 4x4 --accelerator TPU-V6E -- {_LARGE}",
  ),
  "tpu": (
    f"{_TPU} --dry-run -- {_LARGE}",
    f"{_TPU} --spot -- {_LARGE}",
    f"{_TPU} --setup 'mount /shared' --keep -- {_LARGE}",
  ),
}


def add(commands) -> None:
  """Declares the commands."""
  parent = parsing.add(
    commands,
    "launch",
    None,
    "run a command as several processes or machines",
    examples=[_EXAMPLES[name][0] for name in ("local", "slurm", "ray")],
  )
  actions = parent.add_subparsers(dest="launcher", required=True)
  for name, declare in (
    ("local", _add_local),
    ("slurm", _add_slurm),
    ("ray", _add_ray),
    ("tpu", _add_tpu),
  ):
    declare(_add_launcher(actions, name, commands.choices))


def _add_launcher(actions, name: str, known) -> argparse.ArgumentParser:
  texts = {
    "local": "on this machine",
    "slurm": "on a SLURM cluster",
    "ray": "on a Ray cluster",
    "tpu": "on a slice of Cloud TPU",
  }
  command = parsing.add(
    actions,
    name,
    _launch,
    f"run a command of jaxvision {texts[name]}",
    examples=_EXAMPLES[name],
  )
  command.set_defaults(known=known)
  # Options that are not given are absent; the launcher has the defaults.
  command.argument_default = argparse.SUPPRESS
  command.add_argument(
    "words",
    nargs=argparse.REMAINDER,
    metavar="-- COMMAND ...",
    help="a command of jaxvision with its arguments",
  )
  command.add_argument(
    "--dry-run",
    action="store_true",
    help="print all files and commands; launch nothing",
  )
  command.add_argument(
    "--logs",
    type=paths.expanded,
    metavar="DIR",
    help="folder for scripts and logs (WORKDIR/launch)",
  )
  _add_count(
    command, "restarts", "restarts after a crash or preemption", least=0
  )
  return command


def _add_local(command: argparse.ArgumentParser) -> None:
  _add_count(command, "processes", "number of processes", required=True)
  _add_count(command, "devices", "virtual CPU devices of each process")
  _add_count(command, "gpus", "GPUs of each process")
  _add_grace(command)


def _add_slurm(command: argparse.ArgumentParser) -> None:
  _add_count(command, "nodes", "number of nodes (1)")
  _add_count(command, "tasks", "processes on each node (1)")
  _add_count(command, "array", "number of jobs, each a worker of a sweep")
  _add_count(command, "gpus", "GPUs of each node")
  _add_count(command, "cpus", "CPU cores of each process")
  command.add_argument(
    "--time", help="time limit of an allocation, as 12:00:00"
  )
  command.add_argument("--partition")
  command.add_argument("--account")
  _add_extra(command, "sbatch, as --extra=--mem=0")
  _add_grace(command)


def _add_ray(command: argparse.ArgumentParser) -> None:
  command.add_argument(
    "--workers",
    type=_range,
    required=True,
    metavar="N or MIN:MAX",
    help="number of workers, or a range that depends on free resources",
  )
  _add_count(command, "devices", "virtual CPU devices of each worker")
  _add_count(command, "cpus", "CPU cores of each worker (1)")
  _add_count(command, "gpus", "GPUs of each worker")
  command.add_argument("--topology", help="topology of a TPU slice, as 4x4")
  command.add_argument("--accelerator", help="type of a TPU slice, as TPU-V6E")
  command.add_argument(
    "--address",
    help="address of the cluster: local (default, starts one here) or auto",
  )


def _add_tpu(command: argparse.ArgumentParser) -> None:
  command.add_argument("--name", required=True, help="name of the slice")
  command.add_argument("--zone", required=True, help="zone, as us-central2-b")
  command.add_argument(
    "--accelerator", required=True, help="type, as v5litepod-16, v6e-64"
  )
  command.add_argument(
    "--runtime", required=True, help="TPU software, as v2-alpha-tpuv5-lite"
  )
  command.add_argument(
    "--project", help="Google Cloud project (default: of gcloud)"
  )
  command.add_argument(
    "--spot", action="store_true", help="cheaper, but may be preempted"
  )
  command.add_argument(
    "--setup",
    action="append",
    metavar="COMMAND",
    help="shell command for each worker before the run, such as a mount; may "
    "be repeated",
  )
  _add_extra(command, "queued-resources create, as --extra=--reserved")
  command.add_argument(
    "--keep", action="store_true", help="do not delete the slice at the end"
  )
  _add_grace(command)


def _add_extra(command: argparse.ArgumentParser, text: str) -> None:
  command.add_argument(
    "--extra",
    action="append",
    metavar="OPTION",
    help=f"one more option of {text}; may be repeated",
  )


def _add_grace(command: argparse.ArgumentParser) -> None:
  _add_count(command, "grace", "seconds to save after a stop signal (60)")


def _add_count(
  command: argparse.ArgumentParser,
  name: str,
  text: str,
  *,
  least: int = 1,
  required: bool = False,
) -> None:
  def count(given: str) -> int:
    if not given.isdecimal() or int(given) < least:
      raise argparse.ArgumentTypeError(
        f"{given!r} is not an integer of at least {least}"
      )
    return int(given)

  command.add_argument(
    f"--{name}", type=count, required=required, metavar="N", help=text
  )


def _range(given: str) -> tuple[int, int]:
  """Parses "2:4" to (2, 4) and "2" to (2, 2)."""
  least, colon, most = given.partition(":")
  most = most if colon else least
  if not (least.isdecimal() and most.isdecimal()) or int(least) < 1:
    raise argparse.ArgumentTypeError(
      f"{given!r} is not a number of workers; write 4, or 2:4 for 2 to 4"
    )
  return int(least), int(most)


def _launch(options: argparse.Namespace) -> int:
  launcher = launch.LAUNCHERS[options.launcher]
  fields = {each.name for each in dataclasses.fields(launcher.Options)}
  given = {k: v for k, v in vars(options).items() if k in fields}
  settings = launcher.Options(
    **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
  )
  job = _job(options)
  _check_sweep(
    options.launcher, settings, sweeps=job.command[0] in ("sweep", "search")
  )
  if "dry_run" in options:
    console.say(jobs.show(launcher.render(job, settings)))
    return 0
  return launcher.launch(job, settings)


def _job(options: argparse.Namespace) -> jobs.Job:
  """The job of the command after the options, after checks of its config.

  Raises:
    ValueError: the command is unknown, or a key of its config is wrong.
  """
  words = options.words[options.words[:1] == ["--"] :]
  if not words:
    raise ValueError(f"no command to launch; add a command, as -- {_EXAMPLE}")
  name, *rest = words
  if name not in options.known:
    raise ValueError(lookup.unknown("command", name, options.known))
  parser = options.known[name]
  inner, unknown = parser.parse_known_args(rest)
  overrides = parsing.overrides(unknown, parser)
  if overrides and "config" not in inner:
    parser.error(f"{name} does not accept --config.KEY=VALUE")
  _check_experiment(name, inner, overrides)
  storage = getattr(inner, "storage", "")
  return jobs.Job(
    command=tuple(_without_storage(words) if storage else words),
    folder=_folder(options, inner, words),
    python=sys.executable,
    train=_training(inner, overrides) if name == "train" else {},
    secrets={workers.STORAGE: storage} if storage else {},
  )


def _without_storage(words: Sequence[str]) -> list[str]:
  """The command without --storage URL, which may contain a password."""
  kept, words = [], list(words)
  while words:
    word = words.pop(0)
    if word == "--storage":
      words.pop(0)
    elif not word.startswith("--storage="):
      kept.append(word)
  return kept


def _check_experiment(
  name: str, inner: argparse.Namespace, overrides: dict
) -> None:
  if name == "sweep":
    from jaxvision import sweeps

    if inner.experiment:
      sweeps.load(inner.experiment, overrides)
  elif name == "search":
    from jaxvision.cli import search

    search.load({**vars(inner), "overrides": overrides})
  elif getattr(inner, "config", None):
    from jaxvision import config as configs

    configs.load(inner.config, overrides)


def _check_sweep(launcher: str, settings: Any, *, sweeps: bool) -> None:
  """Checks that a sweep has independent processes, and that --array is a sweep.

  Raises:
    ValueError: a sweep has several connected processes, or another command has
      --array.
  """
  if not sweeps:
    if getattr(settings, "array", 0):
      raise ValueError(
        "--array is for sweeps, whose workers share a folder; use --nodes and "
        "--tasks for a single run"
      )
    return
  processes, remedy = {
    "local": lambda: (settings.processes, "write sweep --workers N"),
    "slurm": lambda: (settings.nodes * settings.tasks, "write --array N"),
    "ray": lambda: (1, ""),
    "tpu": lambda: (math.inf, "start it manually on single hosts"),
  }[launcher]()
  if processes > 1:
    raise ValueError(
      f"the workers of a sweep are independent processes; {remedy}"
    )


def _folder(
  options: argparse.Namespace, inner: argparse.Namespace, words: Sequence[str]
) -> pathlib.Path:
  if "logs" in options:
    return pathlib.Path(options.logs)
  if not getattr(inner, "workdir", None):
    raise ValueError(
      f"{' '.join(words)!r} has no workdir for the logs; add --logs DIR before "
      "--"
    )
  return pathlib.Path(inner.workdir) / "launch"


def _training(inner: argparse.Namespace, overrides: dict) -> dict[str, Any]:
  """The arguments of `jaxvision.train`, with the profile as text."""
  names = ("extend", "extend_schedule", "trust")
  more = {name: getattr(inner, name) for name in names}
  return {
    "recipe": inner.config,
    "workdir": inner.workdir,
    "overrides": overrides,
    "overfit": inner.overfit,
    "profile": inner.profile,
    **{name: value for name, value in more.items() if value},
  }
