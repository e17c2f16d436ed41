"""Declaration and parsing of arguments that several commands share."""

import argparse
import pathlib
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxvision import user_code
from jaxvision.files import paths

SOURCE_OF_DATA = (
  "NAME[:VERSION] of TFDS, a folder of images or of tar shards, a file of "
  "captions or its folder, an .npz file or FILE.py:FUNCTION"
)
_WIDTH = 78  # characters of a line of a help, as of argparse for 80 columns


def add(
  commands,
  name: str,
  run: Callable | None,
  text: str,
  *,
  examples: Sequence[str],
  note: str = "",
) -> argparse.ArgumentParser:
  """Adds a command and returns its parser.

  Args:
    commands: the result of `add_subparsers`.
    name: name of the command.
    run: function of the parsed options; None if the command has subcommands.
    text: one line for the help.
    examples: three calls of the command, without the word "jaxvision".
    note: a paragraph of the help, before the examples.
  """
  command = commands.add_parser(
    name,
    help=text,
    description=_filled(text),
    epilog=epilog(note, examples),
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  command.set_defaults(run=run)
  return command


def commands(
  parser: argparse.ArgumentParser,
) -> Iterator[argparse.ArgumentParser]:
  """The parser and those of its commands, at any depth."""
  yield parser
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction):
      for each in action.choices.values():
        yield from commands(each)


def epilog(note: str, examples: Sequence[str]) -> str:
  """The last text of a help: a note, and examples that can be copied."""
  lines = ["examples:", *(f"  jaxvision {each}" for each in examples)]
  return "\n".join([*([_filled(note), ""] if note else []), *lines])


def _filled(text: str) -> str:
  # The formatter that keeps the lines of the examples wraps no text.
  return textwrap.fill(text, _WIDTH, break_on_hyphens=False)


def overrides(
  rest: Sequence[str], parser: argparse.ArgumentParser
) -> dict[str, str]:
  """Parses --config.KEY=VALUE and --config.KEY VALUE to {KEY: VALUE}.

  Args:
    rest: the arguments that the parser did not recognise.
    parser: reports an error for any other argument.
  """
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


def add_run(
  command: argparse.ArgumentParser, *, required: bool, text: str
) -> None:
  """Declares the folder and the checkpoint of a run; `text` is the help."""
  command.add_argument(
    "--workdir", type=paths.expanded, required=required, help=text
  )
  command.add_argument(
    "--checkpoint",
    metavar="last|best|STEP",
    help="the checkpoint (that of the run's results: the last one, or the best "
    "one with checkpoint.restore_best)",
  )
  add_trust(command)


def add_trust(command: argparse.ArgumentParser) -> None:
  """Declares --trust, which allows code of a folder; `main` applies it."""
  command.add_argument(
    "--trust",
    action="store_true",
    help="run code in a folder that this account has not trusted before",
  )


def add_data_changed(command: argparse.ArgumentParser) -> None:
  """Declares --data-changed: refuse or accept other data than at training."""
  command.add_argument(
    "--data-changed",
    default="refuse",
    choices=("refuse", "accept"),
    help="action if the data differ from the data of the run (refuse)",
  )


def add_tta(command: argparse.ArgumentParser) -> None:
  """Declares --tta, the views of test-time augmentation."""
  command.add_argument(
    "--tta",
    default="",
    metavar="VIEWS",
    help="test-time augmentation: the mean prediction of flip (original and "
    'mirrored), crops (centre and corners) or both, as in "flip,crops"; '
    "docs/predictions.md",
  )


def add_source(command: argparse.ArgumentParser) -> None:
  """Declares the source of a trained network: a run, or a weights file."""
  add_run(command, required=False, text="the folder of a run")
  command.add_argument(
    "--weights",
    type=paths.expanded,
    help="instead of a run: a weights file, or its address",
  )
  command.add_argument("--model", help="name of the model of the weights")
  command.add_argument(
    "--image_size",
    type=size,
    metavar="N|HxW",
    help="image size for the weights, in pixels",
  )
  command.add_argument(
    "--class_names",
    type=paths.expanded,
    metavar="FILE",
    help="class names of the weights, one per line in the order of the logits",
  )
  command.add_argument(
    "--preprocessing",
    metavar="LABEL",
    help="image preprocessing for the weights, if it differs from that of the "
    "file: the label of a published file (`jaxvision weights list`), or "
    "torchvision, timm, ...",
  )
  for name, text in (
    ("mean", "mean of the pixels, 1 or 3 numbers, as 0.485,0.456,0.406"),
    ("std", "standard deviation of the pixels, 1 or 3 numbers"),
  ):
    command.add_argument(
      f"--{name}", type=_numbers, metavar="NUMBERS", help=f"for weights: {text}"
    )
  command.add_argument(
    "--crop_fraction",
    type=float,
    metavar="SHARE",
    help="for weights: fraction of the resized image that is cropped",
  )
  command.add_argument(
    "--interpolation", metavar="METHOD", help="for weights: of the resize"
  )


_WEIGHTS_OPTIONS = (
  "model",
  "image_size",
  "class_names",
  "preprocessing",
  "mean",
  "std",
  "crop_fraction",
  "interpolation",
)


def size(text: str) -> tuple[int, int]:
  """(height, width) of "224" or "192x224"."""
  match = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", text)
  if match is None:
    raise argparse.ArgumentTypeError(
      f"{text!r} is not a size; write 224, or HEIGHTxWIDTH as in 192x224"
    )
  return int(match[1]), int(match[2] or match[1])


def positive(text: str) -> int:
  """The whole number of a text; an error if it is below 1."""
  if int(text) < 1:
    raise argparse.ArgumentTypeError(f"{text}: it must be at least 1")
  return int(text)


def resolved(call: str) -> str:
  """A typed call; the user's own code in it is resolved, and may then run."""
  typed = {"evaluate": {"suites": (call,)}}
  found = user_code.resolve(typed, folders=[pathlib.Path()])
  return found["evaluate"]["suites"][0]


def _numbers(text: str) -> tuple[float, ...]:
  try:
    numbers = tuple(map(float, text.split(",")))
  except ValueError:
    numbers = ()
  if len(numbers) not in (1, 3):
    raise argparse.ArgumentTypeError(
      f"{text!r}: write one number or three, as in 0.485,0.456,0.406"
    )
  return numbers


def open_source(options: argparse.Namespace) -> Any:
  """Opens the `inference.TrainedRun` that the options name.

  Raises:
    ValueError: the options have neither a run nor weights with a model, or
      both.
  """
  if bool(options.workdir) == bool(options.weights):
    raise ValueError(
      "give either --workdir RUN, or --weights FILE --model NAME"
    )
  if options.workdir:
    from jaxvision import inference

    _refuse_weights_options(options)
    return inference.load_run(options.workdir, which=options.checkpoint)
  if options.checkpoint not in (None, "last"):
    raise ValueError("--checkpoint needs a run; give --workdir RUN")
  if not options.model:
    raise ValueError(
      "--weights needs --model NAME; `jaxvision weights inspect "
      f"{options.weights}` shows the model"
    )
  from jaxvision.inference import pretrained
  from jaxvision.xla import cache

  cache.cache_compilations()  # a run does it itself
  return pretrained.open_weights(
    options.weights,
    options.model,
    image_size=options.image_size,
    names=options.class_names,
    like=options.preprocessing or "",
    mean=options.mean,
    std=options.std,
    crop_fraction=options.crop_fraction,
    interpolation=options.interpolation,
  )


def _refuse_weights_options(options: argparse.Namespace) -> None:
  given = [
    each for each in _WEIGHTS_OPTIONS if getattr(options, each) is not None
  ]
  if given:
    raise ValueError(
      f"--{given[0]} needs --weights; a run has this value in config.json: "
      "leave it out"
    )
