"""`jaxvision data`: list, inspect and prepare data sets."""

import argparse
import pathlib

from jaxvision.commands import parsing


def add(commands) -> None:
  """Declares the command."""
  data = parsing.add(
    commands, "data", None, "list, inspect or prepare data sets"
  )
  actions = data.add_subparsers(dest="action", required=True)
  listing = parsing.add(
    actions, "list", _data_list, "what is there, what can be made"
  )
  inspect = parsing.add(
    actions, "inspect", _data_inspect, "counts per class and a contact sheet"
  )
  prepare = parsing.add(actions, "prepare", _data_prepare, "make a data set")
  for command in (listing, inspect, prepare):
    command.add_argument(
      "--data_dir", help="$TFDS_DATA_DIR, or ~/tensorflow_datasets"
    )
  inspect.add_argument("name", help="NAME[:VERSION], a folder or an .npz file")
  inspect.add_argument("--split", help="as in 'train[:80%%]'; all by default")
  inspect.add_argument(
    "--sheet", default="contact_sheet.png", help="the picture to write"
  )
  prepare.add_argument("name", help="as `jaxvision data list` shows it")


def _data_list(options: argparse.Namespace) -> None:
  from jaxvision import data

  for each in data.list_datasets(options.data_dir):
    splits = ", ".join(f"{k} {v:,}" for k, v in each.splits.items())
    state = each.remedy or f"{splits}; {each.num_bytes / 2**20:,.1f} MiB"
    print(f"{each.name:<20} {each.version:<8} {state}")


def _data_prepare(options: argparse.Namespace) -> None:
  from jaxvision import data

  print(f"prepared: {data.prepare(options.name, data_dir=options.data_dir)}")


def _data_inspect(options: argparse.Namespace) -> None:
  from jaxvision import analysis, data
  from jaxvision.configs import default

  config = default.get_config().data
  config.kind = kind_of(options.name)
  config.name, config.data_dir = options.name, options.data_dir
  splits = [options.split] if options.split else list(data.split_sizes(config))
  for summary in data.inspect(config, splits=splits):
    _print_summary(summary)
  shown = data.open_dataset(config, splits[0])
  images, titles = data.sample(shown, per_class=8, channels=config.channels)
  analysis.write_contact_sheet(images, titles, options.sheet)
  print(f"contact sheet of {splits[0]}: {options.sheet}")


def kind_of(name: str) -> str:
  """Returns `data.kind` of a config for a name as the commands take it."""
  if pathlib.Path(name).is_dir():
    return "folder"
  return "npz" if name.endswith(".npz") else "tfds"


def _print_summary(summary) -> None:
  sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in summary.sizes.items())
  print(f"{summary.split}: {summary.num_examples:,} images, {sizes}")
  for name, count in summary.counts.items():
    print(f"  {count:>8,}  {name}")
  for name, reason in summary.unreadable.items():
    print(f"  unreadable: {name}: {reason}")
