"""Cost of `jaxvision data prepare imagenet2012` per image.

  python experiments/benchmarks/preparing.py --images 5200 --rounds 3

Photo-like files of 500x375 pixels, in folders, become array_record: with
unchanged bytes, and with a shorter side of 256 pixels. The variants take turns.
CPU time counts all threads. Other load affects it less than the wall time. A
shard has at most 1252 images. With fewer images threads do not help.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from loaders import photos

from jaxvision import data

# Classes 0 and 1 of ImageNet.
_CLASSES = ("n01440764", "n01443537")
VARIANTS = {
  "as they are": {"threads": 1},
  "as they are, 4 threads": {"threads": 4},
  "shorter side 256": {"threads": 1, "resize_small": 256},
  "shorter side 256, 4 threads": {"threads": 4, "resize_small": 256},
}


def write_source(folder: pathlib.Path, images: int) -> float:
  """Writes a part of ImageNet; returns the mean size of a file in bytes."""
  train = folder / "train"
  sizes = photos.write(train, number=images, width=500, height=375, noise=6)
  for number, name in enumerate(_CLASSES):
    (train / str(number)).rename(train / name)
  return statistics.mean(sizes)


def measure(source: pathlib.Path, options: dict[str, int]) -> tuple[float, ...]:
  """Returns (CPU, wall) seconds of one preparation."""
  with tempfile.TemporaryDirectory() as folder:
    wall, cpu = time.perf_counter(), time.process_time()
    data.prepare(
      "imagenet2012",
      source=source,
      data_dir=folder,
      allow_partial=True,
      **options,
    )
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--images", type=int, default=5200)
  parser.add_argument("--rounds", type=int, default=3)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder)
    size = write_source(source, options.images)
    measure(source, {})  # imports
    seconds = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
      for name, variant in VARIANTS.items():
        seconds[name].append(measure(source, variant))
  print(f"{options.images} images of {size / 1000:.0f} kB\n")
  print("| variant | CPU ms/image, median (least, most) | images/s, median |")
  print("|---|---:|---:|")
  for name, measured in seconds.items():
    cpu, wall = zip(*measured, strict=True)
    each = [1000 * value / options.images for value in sorted(cpu)]
    spread = f"{statistics.median(each):.2f} ({each[0]:.2f}, {each[-1]:.2f})"
    rate = options.images / statistics.median(wall)
    print(f"| {name} | {spread} | {rate:,.0f} |")


if __name__ == "__main__":
  main()
