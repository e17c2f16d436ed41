"""The command `jaxvision data backgrounds`."""

import argparse
import collections
import pathlib
import re

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

_SPLITS = ("train", "validation", "test")
_SHEET = "contact_sheet.png"
_LISTED = 8  # reasons
# The number in a reason, so that equal reasons are counted together.
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


def add(actions) -> None:
  """Declares the command."""
  command = parsing.add(
    actions,
    "backgrounds",
    _make,
    "make the variants of images without foreground, without background and "
    "with mixed backgrounds",
    examples=(
      "data backgrounds cut_outs --out variants --size 64",
      "data backgrounds photos --boxes boxes.csv --out variants",
      "data backgrounds cut_outs --pictures scenes --scale 0.7 --out mixed",
    ),
  )
  command.add_argument(
    "name",
    type=paths.expanded,
    help="data with masks of the foreground, or with --boxes: "
    f"{parsing.SOURCE_OF_DATA}",
  )
  command.add_argument(
    "--out", type=paths.expanded, required=True, help="the folder to write"
  )
  for split in _SPLITS:
    command.add_argument(
      f"--{split}",
      metavar="SPLIT",
      help=f"split or slice that becomes {split}, as 'train[:80%%]'; if none "
      "is given, all splits are kept",
    )
  command.add_argument(
    "--size",
    type=int,
    default=224,
    metavar="N",
    help="side of the images in pixels (224)",
  )
  command.add_argument(
    "--foreground",
    type=_range,
    default=(128, 255),
    metavar="VALUES",
    help="values of masks that are the foreground, as 1 or 128-255 (128-255)",
  )
  command.add_argument(
    "--boxes",
    type=paths.expanded,
    metavar="FILE",
    help="a CSV with file_name, xmin, ymin, xmax, ymax, or a folder of PASCAL "
    "VOC's XML; without masks, GrabCut finds the foreground in the box",
  )
  command.add_argument(
    "--pictures",
    type=paths.expanded,
    metavar="FOLDER",
    help="pictures that replace the backgrounds: a folder for each class, or "
    "pictures of which each class gets a share",
  )
  command.add_argument(
    "--correlation",
    type=float,
    metavar="SHARE",
    help="with --pictures: share of the images with a picture of their own "
    "class (1.0)",
  )
  command.add_argument(
    "--scale",
    type=float,
    metavar="SHARE",
    help="with --pictures: side of an image relative to its scene (1.0)",
  )
  command.add_argument("--seed", type=int, default=0, help="seed (0)")
  command.add_argument(
    "--threads", type=int, default=4, metavar="N", help="threads (4)"
  )
  command.add_argument(
    "--data_dir",
    type=paths.expanded,
    help="$TFDS_DATA_DIR, or ~/tensorflow_datasets",
  )


def _range(text: str) -> tuple[int, int]:
  """(least, most) of "128-255" or "1"."""
  found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", text)
  least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
  if not 0 <= least <= most <= 255:
    raise argparse.ArgumentTypeError(
      f"{text!r} is no range of the values 0 to 255; write 1, or 128-255"
    )
  return least, most


def _make(options: argparse.Namespace) -> None:
  from jaxvision import data, report

  _check(options)
  kind, name = data.kind_of(options.name)
  source = data.Source(kind=kind, name=name, data_dir=options.data_dir)
  least, most = options.foreground
  rules = data.ForegroundRules(
    size=options.size,
    least=least,
    most=most,
    boxes=data.read_boxes(options.boxes) if options.boxes else None,
    seed=options.seed,
  )
  splits = {
    role: getattr(options, role) for role in _SPLITS if getattr(options, role)
  } or {role: role for role in data.split_sizes(source)}
  made = data.make_backgrounds(
    source,
    options.out,
    splits=splits,
    rules=rules,
    pictures=_pictures(options, source, splits),
    threads=options.threads,
  )
  _print(made)
  first = "test" if "test" in splits else list(splits)[-1]
  path = pathlib.Path(options.out, _SHEET)
  images, titles = data.sample_variants(options.out, split=first)
  report.write_contact_sheet(images, titles, path, columns=len(data.VARIANTS))
  console.say(f"contact sheet of {first}: {path}")


def _check(options: argparse.Namespace) -> None:
  if options.size < 1 or options.seed < 0 or options.threads < 1:
    raise ValueError(
      f"--size {options.size}, --seed {options.seed}, --threads "
      f"{options.threads}: expected a size and threads of at least 1, and a "
      "seed of at least 0"
    )
  for name in ("correlation", "scale"):
    if getattr(options, name) is not None and not options.pictures:
      raise ValueError(f"--{name} is for --pictures FOLDER; give both")


def _pictures(options: argparse.Namespace, source, splits):
  """The pictures of the classes; None without --pictures."""
  from jaxvision import data

  if not options.pictures:
    return None
  opened = data.open_dataset(source, next(iter(splits.values())))
  given = {
    name: value
    for name in ("correlation", "scale")
    if (value := getattr(options, name)) is not None
  }
  return data.assign_pictures(options.pictures, opened.class_names, **given)


def _print(made) -> None:
  for split, count in made.counts.items():
    left_out = made.left_out[split]
    console.say(
      f"{split}: {count:,} images in each variant, {len(left_out):,} left out"
    )
    reasons = collections.Counter(
      _NUMBERS.sub("N", each) for each in left_out.values()
    )
    for reason, number in reasons.most_common(_LISTED):
      console.say(f"  {number:>6,}  {files.printable(reason)}")
    if len(reasons) > _LISTED:
      console.say(f"  {len(reasons) - _LISTED} more reasons")
  console.say(
    f"made: {files.printable(made.folder)}; backgrounds.json lists the images "
    "that were left out, mixed.csv the backgrounds"
  )
