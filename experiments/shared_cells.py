"""Do shared parameters order cells as their own training does?

  jaxvision data prepare mnist --source=package/data   # see docs/data.md
  python experiments/shared_cells.py train runs/shared
  jaxvision sweep experiments/shared_cells.py --workdir runs/shared_cells \\
    --vectorize 16
  python experiments/shared_cells.py judge runs/shared_cells

The proxy of experiments/cells.py trains each cell from new parameters: 100
steps. ENAS (Pham et al. 2018) shares the parameters of all cells instead. Here
one network is trained for 2,000 steps, and each step draws a cell with equal
probabilities (as in Li and Talwalkar 2019, Random Search and Reproducibility
for Neural Architecture Search). Then 48 random cells are trained in three ways:

  own     from new parameters, 100 steps, as in experiments/cells.py
  shared  from the shared parameters, 20 steps. The classifier is new, and the
          batch statistics become those of the cell
  long    from new parameters, 500 steps. This is the order that a search wants

The value of a cell is its accuracy on 2,000 validation images. All trainings
have the same seed, so the seed is a part of the differences.

How to read the answer: Spearman's correlation of "own" with "long", and of
"shared" with "long", over the cells, with 95 % intervals of a bootstrap over
the cells (10,000 draws). A way "orders" the cells if its interval is above 0.
One is better than the other if the interval of the difference of the
correlations, over the same draws, excludes 0. The cost is the computing time of
a training in seconds as a share of that of "own", without compilation. This
rule was written down before the runs.
"""

import argparse
import pathlib
import random
from collections.abc import Mapping, Sequence

import cells
import numpy as np

import jaxvision
from jaxvision import genotypes, sweep

QUESTION = "Do shared parameters order cells as their own training does?"
BASE, OVERRIDES = cells.BASE, cells.OVERRIDES  # the proxy
_ARCH, _SHARED, _CELLS = "model.options.arch", "runs/shared", 48


def draw_cells(count: int) -> list[str]:
  """Returns different cells that are not equivalent to each other."""
  space, rng = genotypes.create("nasbench201"), random.Random(0)
  found: dict[str, str] = {}
  while len(found) < count:
    cell = space.write({k: rng.choice(v) for k, v in space.decisions.items()})
    found.setdefault(space.identify(cell), cell)
  return list(found.values())


SPACE = {
  "way": sweep.grid(
    {
      "own": {},
      "shared": {"model.weights": _SHARED, "train.duration": "1 epoch"},
      "long": {"train.duration": "25 epochs"},
    }
  ),
  _ARCH: sweep.grid(*draw_cells(_CELLS)),
}
OBJECTIVE = sweep.maximize("validation/top1")
READ = (
  "The correlations over the cells, not the best cell: `python "
  "experiments/shared_cells.py judge FOLDER` prints them."
)


def train_shared(workdir: pathlib.Path) -> None:
  """Trains the network whose parameters all cells share."""
  jaxvision.train(
    BASE,
    workdir=workdir,
    overrides={
      **OVERRIDES,
      "model.options": {**OVERRIDES["model.options"], "operations": "drawn"},
      "train.duration": "100 epochs",
    },
  )


def read(
  workdir: pathlib.Path,
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
  """Returns {way: {cell: accuracy}} and {way: seconds of a training}.

  Raises:
    ValueError: a training is not complete.
  """
  from jaxvision.runs import sweep_folder

  values: dict[str, dict[str, float]] = {}
  seconds: dict[str, list[float]] = {}
  for trial in sweep_folder.read_sweep(workdir).trials:
    if trial.state != "complete":
      raise ValueError(
        f"{workdir}: trial {trial.number} is {trial.state}; finish the sweep"
      )
    way = trial.settings["way"]
    values.setdefault(way, {})[trial.settings[_ARCH]] = trial.value
    # The first line is logged after the compilation.
    times = [line["seconds"] for line in trial.run.lines if "seconds" in line]
    seconds.setdefault(way, []).append(times[-1] - times[0])
  return values, {way: float(np.median(each)) for way, each in seconds.items()}


def judge(values: Mapping[str, Mapping[str, float]]) -> list[str]:
  """Returns a line for each way, and one for their difference.

  Args:
    values: {way: {cell: accuracy}}.
  """
  names = sorted(values["long"])
  arrays = {k: np.array([v[c] for c in names]) for k, v in values.items()}
  rng = np.random.default_rng(0)
  drawn = rng.integers(len(names), size=(10_000, len(names)))
  draws = np.concatenate([np.arange(len(names))[None], drawn])
  found = {
    way: _spearman(arrays[way][draws], arrays["long"][draws])
    for way in ("own", "shared")
  }
  lines = []
  for way, each in found.items():
    word = "orders the cells" if _interval(each)[0] > 0 else "shows no order"
    lines.append(f"{way}: {_text(each)}, {word}")
  difference = found["shared"] - found["own"]
  low, high = _interval(difference)
  word = "better" if low > 0 else "worse" if high < 0 else "not different"
  lines.append(f"shared minus own: {_text(difference)}, shared is {word}")
  return lines


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Rank correlations of the rows of (n, cells) and (n, cells), (n,)."""
  from scipy import stats

  a, b = (stats.rankdata(each, axis=1) for each in (a, b))
  a, b = (each - each.mean(axis=1, keepdims=True) for each in (a, b))
  return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def _interval(draws: np.ndarray) -> tuple[float, float]:
  low, high = np.nanquantile(draws[1:], (0.025, 0.975))
  return float(low), float(high)


def _text(draws: np.ndarray) -> str:
  low, high = _interval(draws)
  return f"{draws[0]:.2f} ({low:.2f} to {high:.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
  """Trains the shared parameters, or prints the correlations of a sweep."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("action", choices=("train", "judge"))
  parser.add_argument("workdir", type=pathlib.Path)
  known = parser.parse_args(arguments)
  if known.action == "train":
    return train_shared(known.workdir)
  values, seconds = read(known.workdir)
  print("\n".join(judge(values)))
  for way, each in seconds.items():
    print(f"{way}: {each / seconds['own']:.2f} of the time of own")


if __name__ == "__main__":
  main()
