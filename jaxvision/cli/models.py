"""The command `jaxvision models`."""

import argparse

from jaxvision.cli import parsing

_LAYER_OPTIONS = {  # Options of `models NAME`.
  "image_size": "image size of the table of layers (native size)",
  "num_classes": "number of classes of the table of layers (1000)",
  "depth": "depth of the paths (the largest that fits on a screen)",
}


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "models",
    _models,
    "list the models, or the layers and options of one",
    examples=(
      "models",
      "models 'resnet*'",
      "models vit_b16 --depth 3 --image_size 384 --num_classes 10",
    ),
  )
  command.add_argument(
    "pattern",
    nargs="?",
    default="*",
    help="as 'resnet*' (default: all), or a name",
  )
  for name, text in _LAYER_OPTIONS.items():
    command.add_argument(f"--{name}", type=int, metavar="N", help=text)


def _models(options: argparse.Namespace) -> None:
  from jaxvision import lookup, models, user_code
  from jaxvision.cli import tables

  names = models.names(options.pattern)
  if user_code.is_own(options.pattern) or options.pattern in models.UNLISTED:
    names = [options.pattern]
  if not names:
    known = [*models.names(), *models.UNLISTED]
    raise ValueError(lookup.unknown("model", options.pattern, known))
  wanted = {name: getattr(options, name) for name in _LAYER_OPTIONS}
  wanted = {k: number for k, number in wanted.items() if number is not None}
  if names == [options.pattern]:
    tables.print_layers(options.pattern, **wanted)
    tables.print_options(options.pattern)
  elif wanted:
    raise ValueError(f"--{min(wanted)} needs one model, not {options.pattern}")
  else:
    tables.print_models(names)
