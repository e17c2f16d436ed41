"""The entry point of the commands, and their exit codes.

Exit codes: 0 success; 2 wrong arguments or data; 3 the loss or a number of the
state is not finite; 4 a plan does not fit; 42 stopped by a signal after saving
(run the same command again); 130 interrupted; 134 another process of the run
failed; 1 any other error, such as a full disk.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from jaxvision import files, user_code
from jaxvision.cli import (
  completion,
  data,
  explain,
  generation,
  launch,
  models,
  parsing,
  plan,
  probe,
  score,
  search,
  sweep,
  train,
  trained,
  versions,
  watch,
  weights,
)
from jaxvision.processes import console, exit_codes
from jaxvision.xla import settings

DIVERGED = 3
PREEMPTED = exit_codes.PREEMPTED
INTERRUPTED = exit_codes.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command and returns its exit code."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  if arguments[:1] == ["--version"]:
    settings.quiet_libtpu()
    print(*versions.lines(), sep="\n")
    return 0
  parser = make_parser()
  options, rest = parser.parse_known_args(arguments)
  options.overrides = parsing.overrides(rest, parser)
  if options.overrides and "config" not in options:
    parser.error(f"{options.command} does not accept --config.KEY=VALUE")
  if (
    options.command != "launch"
  ):  # The launched processes set their own environment.
    settings.quiet_libtpu()
  console.log_to_screen(errors=_is_machine_readable(options))
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
      return _fail(_memory_error(error), 1)
    return _fail(error, _exit_code(error))


def _is_machine_readable(options: argparse.Namespace) -> bool:
  """Whether stdout is JSON or CSV, so that logs must not be mixed in."""
  forms = ("json", "csv", "csv_wide")
  return True in (getattr(options, each, None) for each in forms)


def _exit_code(error: Exception) -> int:
  """The exit code of an expected error; raises any other error as a bug."""
  from jaxvision import checkpoint, sweeps, training
  from jaxvision.data import WorkerDied
  from jaxvision.processes import cluster, rendezvous
  from jaxvision.training.loop import train_loop

  if isinstance(error, train_loop.Preempted | sweeps.Interrupted):
    return PREEMPTED
  if isinstance(error, training.NotFinite):
    return DIVERGED
  if isinstance(
    error, checkpoint.CheckpointError | rendezvous.Missing | sweeps.Failed
  ):
    return 1
  if isinstance(error, WorkerDied):
    # Same code as if the signal had ended this process: it can be resumed.
    return exit_codes.code(error.status) if error.status < 0 else 1
  if cluster.abandoned(error):
    return exit_codes.ABANDONED
  raise error


def _is_out_of_memory(error: Exception) -> bool:
  """Whether the error of XLA or Python is an out-of-memory error."""
  messages = ("RESOURCE_EXHAUSTED", "Out of memory")
  is_of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
  return isinstance(error, MemoryError) or (
    is_of_jax and any(each in str(error) for each in messages)
  )


def _memory_error(error: Exception) -> MemoryError:
  first = (str(error).splitlines() or ["no details"])[0]
  explained = MemoryError(
    f"out of memory ({first}); lower train.batch_size, raise "
    "train.accumulate, set train.remat, or use a smaller model"
  )
  explained.__cause__ = error
  return explained


def _fail(error: Exception, code: int) -> int:
  if os.environ.get("JAXVISION_TRACEBACK"):
    raise error
  text = str(error)
  if isinstance(error, OSError) and files.disk_is_full(error):
    text += (
      ": free some space, then run the same command again; a training run "
      "resumes from its last checkpoint"
    )
  console.say(f"jaxvision: {text}", stream=sys.stderr)
  return _leave(code, error)


def _leave(code: int, error: BaseException | None = None) -> int:
  """Returns the code, or ends this process now if others may wait for it."""
  if code in (DIVERGED, PREEMPTED) or "jax" not in sys.modules:
    return code
  from jaxvision.processes import agreement, cluster

  return (
    code if isinstance(error, agreement.Agreed) else cluster.leave(code, error)
  )


def make_parser() -> argparse.ArgumentParser:
  """Returns the parser of all commands and their options."""
  parser = argparse.ArgumentParser(
    prog="jaxvision",
    description="Image classification research in JAX: every model a config.",
    epilog=parsing.epilog(
      "Set the environment variable JAXVISION_TRACEBACK=1 to see the traceback "
      "of an error.",
      (
        "data prepare digits",
        "train --config configs/digits.py:mlp --workdir runs/mlp",
        "report runs/mlp",
      ),
    ),
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "--version",
    action="store_true",
    help="print the versions of jaxvision, jax and Python, and the devices",
  )
  commands = parser.add_subparsers(dest="command", required=True)
  for each in (
    train,
    trained,
    explain,
    generation,
    score,
    probe,
    sweep,
    search,
    watch,
    plan,
    launch,
    models,
    data,
    weights,
  ):
    each.add(commands)
  completion.add(commands, parser)
  return parser
