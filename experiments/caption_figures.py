"""The figure of captions.py: scenes, and the attention of each word.

  python experiments/caption_figures.py runs/captions/scenes/seed-0 figure.png

It shows the first captions of the run's report, and where the decoder looked
when it wrote each word.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

import numpy as np

_SCENES = 3


def read(
  run: pathlib.Path,
) -> list[tuple[np.ndarray, str, list[tuple[np.ndarray, str]]]]:
  """Returns [(scene, caption, [(attention, word), ...]), ...].

  Args:
    run: the folder of a finished run of captioning.
  """
  _, attention = json.loads((run / "pages.json").read_text("utf-8"))["pages"]
  with np.load(run / "pages.npz") as arrays:
    maps = arrays["images_1"]
  found: list[tuple[np.ndarray, str, list[tuple[np.ndarray, str]]]] = []
  for picture, text in zip(maps, attention["captions"], strict=False):
    if text.startswith("caption: "):  # the scene itself, before its words
      found.append((picture, text.removeprefix("caption: "), []))
    else:
      found[-1][2].append((picture, text))
  return found


def draw(run: pathlib.Path, path: pathlib.Path) -> None:
  """Draws a row for each of the first scenes."""
  from matplotlib import pyplot

  rows = read(run)[:_SCENES]
  columns = 1 + max(len(words) for _, _, words in rows)
  figure, grid = pyplot.subplots(
    len(rows), columns, figsize=(1.5 * columns, 1.8 * len(rows))
  )
  for panels, (scene, caption, words) in zip(grid, rows, strict=True):
    for axes in panels:
      axes.axis("off")
    for axes, (picture, text) in zip(
      panels, [(scene, caption), *words], strict=False
    ):
      axes.imshow(picture)
      axes.set_title(text, fontsize=8)
  figure.savefig(path, dpi=80, bbox_inches="tight")
  pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
  """Draws the figure."""
  parser = argparse.ArgumentParser(description="draws captions of a run")
  parser.add_argument("run", type=pathlib.Path)
  parser.add_argument("path", type=pathlib.Path)
  options = parser.parse_args(arguments)
  draw(options.run, options.path)


if __name__ == "__main__":
  main()
