"""Images per second and core of the input pipeline, compared with others.

  pip install -r experiments/benchmarks/loaders.txt
  python experiments/benchmarks/pipeline.py
  jaxvision data prepare digits
  python experiments/benchmarks/pipeline.py --tables scaling training

Every loader decodes the same photo-like JPEG files, which are made beforehand.
It takes a random resized crop to 224 pixels and flips half of the images. The
files in loaders/ describe the details. Each loader is a process. The loaders
take turns batch by batch, in a new order each round: on a machine with other
load only adjacent measurements can be compared. The script measures the
processor time of a loader and of all its child processes. Other load affects it
less than the wall time. The tables show medians over the rounds. Ratios are
medians of the ratios within a round.

Tables:

  cores     all loaders, without workers: milliseconds of a core per image.
  scaling   jaxvision with increasing numbers of threads and worker processes.
  training  the share of the time in which training waits for its batch.

A loader whose packages are not installed is left out, with a message.
"""

import argparse
import contextlib
import pathlib
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence

import loaders
from loaders import photos, process

_BATCH = 64
# name -> number of files, their properties, and batches in a round.
KINDS = {
  "500x375": (512, {"width": 500, "height": 375, "noise": 6.0}, 8),
  "1500x1000": (128, {"width": 1500, "height": 1000, "noise": 4.0}, 2),
}
_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


def available(names: Sequence[str]) -> list[str]:
  """Returns the installed ones; prints the missing packages to stderr."""
  for name in names:
    if packages := loaders.missing(name):
      print(
        f"{name} is left out: it needs {packages}; "
        "`pip install -r experiments/benchmarks/loaders.txt`",
        file=sys.stderr,
      )
  return [name for name in names if not loaders.missing(name)]


def measure(
  names: Sequence[str],
  folder: pathlib.Path,
  *,
  rounds: int,
  batches: int,
  batch_size: int = _BATCH,
) -> dict[str, list[float]]:
  """Returns processor milliseconds per image, by loader and round.

  Args:
    names: of loaders.
    folder: of the images.
    rounds: how many.
    batches: in a round.
    batch_size: images in a batch.
  """
  found = {name: [] for name in names}
  with contextlib.ExitStack() as stack:
    opened = {
      name: stack.enter_context(
        process.opened(name, folder, batch_size=batch_size, workers=0)
      )
      for name in names
    }
    for number in range(rounds + 1):
      order = random.sample(names, len(names))
      for name in order:
        cpu = opened[name].take(batches)["cpu"]
        if number:  # the first batch includes one-time work
          found[name].append(1e3 * cpu / (batches * batch_size))
  return found


def cores_table(kind: str, found: Mapping[str, Sequence[float]]) -> list[str]:
  """Returns Markdown: the cost of each loader, and its ratio to jaxvision."""
  lines = [
    f"| {kind} | ms of a core | lowest | highest | images/s/core | / ours |",
    "|---|---:|---:|---:|---:|---:|",
  ]
  for name, values in found.items():
    middle = statistics.median(values)
    pairs = zip(values, found["jaxvision"], strict=True)
    ratio = statistics.median(theirs / ours for theirs, ours in pairs)
    lines.append(
      f"| {loaders.LOADERS[name].what} | {middle:.2f} | {min(values):.2f} | "
      f"{max(values):.2f} | {1e3 / middle:,.0f} | {ratio:.2f} |"
    )
  return lines


def scaling_table(folder: pathlib.Path, *, rounds: int) -> list[str]:
  """Returns Markdown: time and memory for threads and workers."""
  ways = [("processes", 0), ("threads", 1), ("threads", 2), ("threads", 4)]
  ways += [("processes", 1), ("processes", 2), ("processes", 4)]
  taken = {way: [] for way in ways}
  memory = {}
  for _ in range(rounds):
    for by, workers in random.sample(ways, len(ways)):
      with process.opened(
        "jaxvision", folder, batch_size=_BATCH, workers=workers, by=by
      ) as opened:
        opened.take(4)
        taken[by, workers].append(opened.take(12))
        memory[by, workers] = opened.memory()
  lines = [
    "| | images/s | ms of a core | first batch, s | MiB | MiB per worker |",
    "|---|---:|---:|---:|---:|---:|",
  ]
  for (by, workers), every in taken.items():
    images = 12 * _BATCH
    speed = statistics.median(images / each["seconds"] for each in every)
    cpu = statistics.median(1e3 * each["cpu"] / images for each in every)
    first = statistics.median(each["first"] for each in every)
    own, *others = memory[by, workers]
    lines.append(
      f"| {f'{workers} {by}' if workers else 'neither'} | {speed:,.0f} | "
      f"{cpu:.2f} | {first:.2f} | {own:.0f} | "
      f"{f'{statistics.mean(others):.0f}' if others else '-'} |"
    )
  return lines


def training_table(folder: pathlib.Path) -> list[str]:
  """Returns Markdown: the share of the time that training waits for data."""
  from jaxvision import training  # this imports jax
  from jaxvision.runs import metrics_log

  at_224 = {
    "model.name": "resnet18",
    "data.kind": "folder",
    "data.name": str(folder),
    "data.validation": "",
    "data.test": "",
    "data.train_transforms": ("random_resized_crop(224)", "random_flip"),
    "train.batch_size": 32,
    "train.duration": "24 steps",
    "log.every": "12 steps",
  }
  digits = {"data.placement": "host", "data.validation": "", "data.test": ""}
  digits |= {"train.duration": "400 steps", "log.every": "200 steps"}
  digits |= {"train.steps_per_dispatch": 1}
  runs = {
    "digits, linear": ("digits.py:linear", digits),
    "digits, resnet": ("digits.py:resnet", digits),
    "224 pixels, resnet18": ("default.py", at_224),
  }
  lines = ["| | images/s | waiting for data |", "|---|---:|---:|"]
  for name, (recipe, overrides) in runs.items():
    with tempfile.TemporaryDirectory() as temporary:
      workdir = pathlib.Path(temporary) / "run"
      training.train(
        str(_CONFIGS / recipe), workdir=workdir, overrides=overrides
      )
      rows = metrics_log.read_metrics(workdir)
    last = [row for row in rows if "data_wait" in "".join(row)][-1]
    speed, wait = (
      next(value for key, value in last.items() if key.endswith(ending))
      for ending in ("images_per_second", "data_wait")
    )
    lines.append(f"| {name} | {speed:,.0f} | {100 * wait:.1f} % |")
  return lines


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures and prints Markdown tables."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  tables = ("cores", "scaling", "training")
  parser.add_argument("--tables", nargs="+", default=tables, choices=tables)
  parser.add_argument("--loaders", nargs="+", default=list(loaders.LOADERS))
  parser.add_argument("--kinds", nargs="+", default=list(KINDS))
  parser.add_argument("--rounds", type=int, default=9)
  options = parser.parse_args(arguments)
  names = available(dict.fromkeys(["jaxvision", *options.loaders]))
  with tempfile.TemporaryDirectory() as temporary:
    for kind in options.kinds:
      folder = pathlib.Path(temporary) / kind
      number, picture, batches = KINDS[kind]
      sizes = photos.write(folder, number=number, **picture)
      print(
        f"\n{kind}: {number} files of {statistics.mean(sizes) / 1e3:.0f} kB"
      )
      if "cores" in options.tables:
        found = measure(names, folder, rounds=options.rounds, batches=batches)
        print("\n".join(["", *cores_table(kind, found)]), flush=True)
    first = pathlib.Path(temporary) / options.kinds[0]
    if "scaling" in options.tables:
      print("\n".join(["", *scaling_table(first, rounds=5)]), flush=True)
    if "training" in options.tables:
      print("\n".join(["", *training_table(first)]), flush=True)


if __name__ == "__main__":
  main()
