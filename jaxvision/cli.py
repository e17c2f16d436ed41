"""The commands: each parses its arguments and calls one function.

Exit codes: 0 done, 2 wrong arguments or data, 3 the loss diverged, 42 stopped
by a signal and saved (start the same command again), 130 interrupted, 1
anything else, such as a full disk.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from jaxvision import screen, tracking
from jaxvision.commands import data, models, probe, train, trained, weights

DIVERGED = 3
PREEMPTED = 42
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command; returns its exit code."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  parser = _make_parser()
  options, rest = parser.parse_known_args(arguments)
  options.overrides = _overrides(rest, parser)
  if options.overrides and options.command != "train":
    parser.error(f"{options.command} takes no --config.KEY=VALUE")
  screen.log_to_screen()
  try:
    options.run(options)
  except BrokenPipeError:  # as in `jaxvision data list | head`
    sys.stderr.close()
    return 0
  except KeyboardInterrupt:
    print("jaxvision: interrupted", file=sys.stderr)
    return INTERRUPTED
  except (ValueError, OSError) as error:
    return _fail(error, 1 if tracking.disk_is_full(error) else 2)
  except Exception as error:
    return _fail(error, _exit_code(error))
  return 0


def _exit_code(error: Exception) -> int:
  """The code of an error that has a meaning of its own; others are bugs."""
  from jaxvision import checkpoint, train_loop

  if isinstance(error, train_loop.Preempted):
    return PREEMPTED
  if isinstance(error, train_loop.Diverged):
    return DIVERGED
  if isinstance(error, checkpoint.CheckpointError):
    return 1
  raise error


def _fail(error: Exception, code: int) -> int:
  if os.environ.get("JAXVISION_TRACEBACK"):
    raise error
  print(f"jaxvision: {error}", file=sys.stderr)
  return code


def _overrides(
  rest: Sequence[str], parser: argparse.ArgumentParser
) -> dict[str, str]:
  """{"optimizer.learning_rate": "0.1"} from --config.KEY=VALUE or two words."""
  found, words = {}, list(rest)
  while words:
    word = words.pop(0)
    if not word.startswith("--config."):
      parser.error(f"unrecognised argument: {word}")
    key, equals, value = word.removeprefix("--config.").partition("=")
    if not equals and not words:
      parser.error(f"{word} needs a value: {word}=VALUE")
    found[key] = value if equals else words.pop(0)
  return found


def _make_parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="jaxvision",
    description="Image classification research in JAX: every model a config.",
    epilog="JAXVISION_TRACEBACK=1 in the environment shows where in the code "
    "an error comes from.",
    allow_abbrev=False,
  )
  commands = parser.add_subparsers(dest="command", required=True)
  for each in (train, trained, probe, models, data, weights):
    each.add(commands)
  return parser
