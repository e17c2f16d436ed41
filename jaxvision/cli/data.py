"""The commands `jaxvision data list | inspect | prepare | ...`."""

import argparse

from jaxvision import files
from jaxvision.cli import backgrounds, parsing
from jaxvision.files import paths
from jaxvision.processes import console

_LISTED = 8  # maximum number of sizes and files in a list
_CHANNELS = 3  # channels of decoded images


def add(commands) -> None:
  """Declares the commands."""
  data = parsing.add(
    commands,
    "data",
    None,
    "list, inspect, prepare or check data sets",
    examples=(
      "data list",
      "data prepare digits",
      "data inspect path/to/images",
    ),
  )
  actions = data.add_subparsers(dest="action", required=True)
  listing = parsing.add(
    actions,
    "list",
    _list,
    "list prepared and preparable data sets",
    examples=(
      "data list",
      "data list --data_dir /shared/data",
      "data list --data_dir ~/other_data",
    ),
  )
  inspect = parsing.add(
    actions,
    "inspect",
    _inspect,
    "show counts per class and a contact sheet",
    examples=(
      "data inspect digits --sheet digits.png",
      "data inspect path/to/images --split 'train[:80%]'",
      "data inspect path/to/photos --labels none",
    ),
  )
  inspect.add_argument("name", type=paths.expanded, help=parsing.SOURCE_OF_DATA)
  inspect.add_argument("--split", help="as 'train[:80%%]'; all by default")
  inspect.add_argument(
    "--sheet",
    type=paths.expanded,
    default="contact_sheet.png",
    help="the PNG to write",
  )
  doctor = parsing.add(
    actions,
    "doctor",
    _doctor,
    "report the problems of a data set",
    examples=(
      "data doctor digits",
      "data doctor path/to/images --all",
      "data doctor shards --labels sets",
    ),
  )
  doctor.add_argument("name", type=paths.expanded, help=parsing.SOURCE_OF_DATA)
  doctor.add_argument(
    "--all", action="store_true", help="check all images of large splits too"
  )
  for command in (inspect, doctor):
    command.add_argument(
      "--labels",
      choices=("classes", "sets", "numbers", "none"),
      default="classes",
      help="kind of the labels, as data.labels of a config (classes)",
    )
  for command in (listing, inspect, doctor, _add_prepare(actions)):
    command.add_argument(
      "--data_dir",
      type=paths.expanded,
      help="$TFDS_DATA_DIR, or ~/tensorflow_datasets",
    )
  _add_preview(actions)
  backgrounds.add(actions)


def _add_prepare(actions) -> argparse.ArgumentParser:
  prepare = parsing.add(
    actions,
    "prepare",
    _prepare,
    "prepare a data set",
    examples=(
      "data prepare digits",
      "data prepare cifar10 --source downloads/cifar10",
      "data prepare imagenet2012 --source downloads --resize_small 256",
    ),
  )
  prepare.add_argument("name", help="a name of `jaxvision data list`")
  prepare.add_argument(
    "--source",
    type=paths.expanded,
    help="folder of the published files, one of them, or their address",
  )
  prepare.add_argument(
    "--resize_small",
    type=int,
    default=0,
    metavar="N",
    help="reduce the shorter side of larger images to N pixels",
  )
  prepare.add_argument(
    "--quality",
    type=int,
    default=0,
    metavar="Q",
    help="encode all images again as JPEG; by default files are kept",
  )
  prepare.add_argument(
    "--threads", type=int, default=4, metavar="N", help="writing threads (4)"
  )
  prepare.add_argument(
    "--allow_partial",
    action="store_true",
    help="accept missing files, and skip unreadable images",
  )
  return prepare


def _add_preview(actions) -> None:
  preview = parsing.add(
    actions,
    "preview",
    _preview,
    "draw the images that a model receives, after all transforms",
    examples=(
      "data preview --config configs/digits.py",
      "data preview --config configs/digits.py:mlp --output sheet.png",
      "data preview --config configs/digits.py --config.train.batch_size=64",
    ),
    note="Any key of the config can be set: "
    "--config.data.device_transforms=\"('random_mixup(0.2)',)\"",
  )
  preview.add_argument(
    "--config", type=paths.expanded, required=True, metavar="FILE.py[:ARGUMENT]"
  )
  preview.add_argument(
    "--output",
    type=paths.expanded,
    default="preview.png",
    help="the PNG to write (preview.png)",
  )
  preview.add_argument(
    "--batches",
    type=int,
    default=2,
    metavar="N",
    help="number of batches; the first images of each are drawn (2)",
  )


def _list(options: argparse.Namespace) -> None:
  from jaxvision import data

  for each in data.list_datasets(options.data_dir):
    splits = ", ".join(f"{k} {v:,}" for k, v in each.splits.items())
    state = each.remedy or f"{splits}; {each.num_bytes / 2**20:,.1f} MiB"
    console.say(f"{each.name:<22} {each.version:<8} {state}")


def _prepare(options: argparse.Namespace) -> None:
  from jaxvision import data

  made = data.prepare(
    options.name,
    data_dir=options.data_dir,
    source=options.source,
    resize_small=options.resize_small,
    quality=options.quality,
    threads=options.threads,
    allow_partial=options.allow_partial,
  )
  console.say(f"prepared: {made}")


def _inspect(options: argparse.Namespace) -> None:
  from jaxvision import data, report

  source = _source(options)
  splits = [options.split] if options.split else list(data.split_sizes(source))
  for summary in data.inspect(source, splits=splits, channels=_CHANNELS):
    _print_summary(summary)
  shown = data.open_dataset(source, splits[0])
  images, titles = data.sample(shown, per_class=8, channels=_CHANNELS)
  report.write_contact_sheet(images, titles, options.sheet)
  console.say(f"contact sheet of {splits[0]}: {options.sheet}")


def _doctor(options: argparse.Namespace) -> None:
  from jaxvision import data

  findings = data.diagnose(
    _source(options), channels=_CHANNELS, every=options.all
  )
  for each in findings:
    console.say(f"{each.severity}: {each.text}")
    if each.remedy:
      console.say(f"  remedy: {each.remedy}")
  errors = sum(each.severity == "error" for each in findings)
  if errors:
    raise ValueError(f"{errors} errors in {options.name}")


def _preview(options: argparse.Namespace) -> None:
  from jaxvision.training import preview
  from jaxvision.xla import settings

  settings.tune_cpu()
  path = preview.write_preview(
    options.config,
    options.output,
    overrides=options.overrides,
    batches=options.batches,
  )
  console.say(f"preview: {path}")


def _source(options: argparse.Namespace):
  """The data set of the options."""
  from jaxvision import data

  kind, name = data.kind_of(options.name)
  return data.Source(
    kind=kind, name=name, data_dir=options.data_dir, labels=options.labels
  )


def _print_summary(summary) -> None:
  count = f"{summary.num_examples:,} images"
  console.say(f"{summary.split}: {count}, {_sizes(summary.sizes)}")
  for name, count in summary.counts.items():
    console.say(f"  {count:>8,}  {files.printable(name)}")
  for name, (least, mean, most) in summary.numbers.items():
    console.say(
      f"  {files.printable(name)}: {least:.4g} to {most:.4g}, mean {mean:.4g}"
    )
  if summary.fields:
    listed = (f"{name} ({kind})" for name, kind in summary.fields.items())
    console.say(f"  fields: {', '.join(listed)}")
  for name, reason in list(summary.unreadable.items())[:_LISTED]:
    console.say(
      f"  unreadable: {files.printable(name)}: {files.printable(reason)}"
    )
  if len(summary.unreadable) > _LISTED:
    console.say(f"  unreadable: {len(summary.unreadable) - _LISTED} more")
  if broken := summary.broken_profiles:
    named = files.printable(", ".join(broken[:_LISTED]))
    more = ", ..." if len(broken) > _LISTED else ""
    console.say(
      f"  {len(broken)} files have a broken colour profile: {named}{more} "
      "(profiles are not applied; pixels are used as stored)"
    )


def _sizes(sizes: dict[tuple[int, int], int]) -> str:
  """A list of sizes (height first); for many, the range and the most common."""
  listed = [f"{h}x{w} ({n})" for (h, w), n in sizes.items()]
  if len(listed) <= _LISTED:
    return ", ".join(listed)
  heights, widths = (sorted(each) for each in zip(*sizes, strict=True))
  return (
    f"{len(listed)} sizes in the inspected images: heights {heights[0]} to "
    f"{heights[-1]}, widths {widths[0]} to {widths[-1]}, the most frequent "
    f"{', '.join(listed[:3])}"
  )
