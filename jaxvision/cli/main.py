"""The commands: each parses its arguments and calls one function.

Exit codes: 0 done, 2 wrong arguments or data, 3 the loss or
a number of the state is not finite, 4 a plan
does not fit, 42 stopped by a signal and saved (start the same command again),
130 interrupted, 134 another process of the run failed, 1 anything else, such as
a full disk.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

from jaxvision import files, user_code
from jaxvision.cli import (
  data,
  launch,
  models,
  parsing,
  plan,
  probe,
  sweep,
  train,
  trained,
  weights,
)
from jaxvision.processes import console, exit_codes
from jaxvision.xla import settings

DIVERGED = 3
PREEMPTED = exit_codes.PREEMPTED
INTERRUPTED = exit_codes.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command; returns its exit code."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  if arguments[:1] == ["--version"]:
    print(_versions())
    return 0
  parser = _make_parser()
  options, rest = parser.parse_known_args(arguments)
  options.overrides = parsing.overrides(rest, parser)
  if options.overrides and "config" not in options:
    parser.error(f"{options.command} takes no --config.KEY=VALUE")
  if options.command != "launch":  # Its environment is for other machines.
    settings.quiet_libtpu()
  console.log_to_screen(errors=_is_read(options))
  try:
    with user_code.trusting(getattr(options, "trust", False)):
      return options.run(options) or 0
  except BrokenPipeError:  # as in `jaxvision data list | head`
    sys.stderr.close()
    return 0
  except KeyboardInterrupt:
    print("jaxvision: interrupted", file=sys.stderr)
    return _leave(INTERRUPTED)
  except (ValueError, OSError) as error:
    return _fail(error, 1 if files.disk_is_full(error) else 2)
  except Exception as error:
    if _is_out_of_memory(error):
      return _fail(_said_of_memory(error), 1)
    return _fail(error, _exit_code(error))


def _is_read(options: argparse.Namespace) -> bool:
  """Whether stdout is JSON or CSV, with which nothing else may mix."""
  return True in (getattr(options, each, None) for each in ("json", "csv"))


def _exit_code(error: Exception) -> int:
  """The code of an error that has a meaning of its own; others are bugs."""
  from jaxvision import checkpoint, sweeps, trees
  from jaxvision.data import WorkerDied
  from jaxvision.processes import cluster, rendezvous
  from jaxvision.training.loop import train_loop

  if isinstance(error, train_loop.Preempted | sweeps.Interrupted):
    return PREEMPTED
  if isinstance(error, trees.NotFinite):
    return DIVERGED
  if isinstance(
    error, checkpoint.CheckpointError | rendezvous.Missing | sweeps.Failed
  ):
    return 1
  if isinstance(error, WorkerDied):
    # As if the signal had ended this process: the same command goes on.
    return exit_codes.code(error.status) if error.status < 0 else 1
  if cluster.abandoned(error):
    return exit_codes.ABANDONED
  raise error


def _is_out_of_memory(error: Exception) -> bool:
  """Whether the host or a device has no room, as XLA or Python say it."""
  words = ("RESOURCE_EXHAUSTED", "Out of memory")
  is_of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
  return isinstance(error, MemoryError) or (
    is_of_jax and any(each in str(error) for each in words)
  )


def _said_of_memory(error: Exception) -> MemoryError:
  first = (str(error).splitlines() or ["no more is known"])[0]
  said = MemoryError(
    f"out of memory ({first}); lower train.batch_size or raise "
    "train.accumulate, set train.remat, or take a smaller model"
  )
  said.__cause__ = error
  return said


def _fail(error: Exception, code: int) -> int:
  if os.environ.get("JAXVISION_TRACEBACK"):
    raise error
  text = str(error)
  if isinstance(error, OSError) and files.disk_is_full(error):
    text += (
      ": free some space, then give the same command again; a training goes on "
      "from its last checkpoint"
    )
  console.say(f"jaxvision: {text}", stream=sys.stderr)
  return _leave(code, error)


def _leave(code: int, error: BaseException | None = None) -> int:
  """The code, unless this process must go at once: others may wait for it."""
  if code in (DIVERGED, PREEMPTED) or "jax" not in sys.modules:
    return code
  from jaxvision.processes import agreement, cluster

  return (
    code if isinstance(error, agreement.Agreed) else cluster.leave(code, error)
  )


def _versions() -> str:
  found = [
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jaxvision", "jax", "jaxlib", "flax", "optax")
  ]
  return ", ".join([*found, f"Python {platform.python_version()}"])


def _make_parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="jaxvision",
    description="Image classification research in JAX: every model a config.",
    epilog="JAXVISION_TRACEBACK=1 in the environment shows where in the code "
    "an error comes from.",
    allow_abbrev=False,
  )
  parser.add_argument(
    "--version",
    action="store_true",
    help="print the versions of jaxvision, Python and jax",
  )
  commands = parser.add_subparsers(dest="command", required=True)
  for each in (
    train,
    trained,
    probe,
    sweep,
    plan,
    launch,
    models,
    data,
    weights,
  ):
    each.add(commands)
  return parser
