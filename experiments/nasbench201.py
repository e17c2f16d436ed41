"""Which searcher finds the best cells of NAS-Bench-201?

  python experiments/nasbench201.py cifar10.json cifar100.json --workdir W

NAS-Bench-201 (Dong and Yang 2020) has trained all 15,625 cells of its space, so
a search costs seconds. A table is a JSON file {cell: {"val_acc_200": ...,
"test_acc_200": ...}} with accuracies in percent after 200 epochs; the name of
the file names the data set. A searcher sees the validation accuracy of each
child that it proposes. The measure is the test accuracy of the child with the
best validation accuracy so far. A search never proposes a cell twice, except
TPE, which is Optuna's.

The searchers are those of `jaxvision sweep --searcher` with their defaults, and
three other settings: one epoch per batch for the controller, which shows why
the epochs matter; a small population, which NAS-Bench-201's authors also use;
and wider logits for ENAS's controller.

How to read the answer: random search is not drawn. Its expectation over all
samples without replacement is exact. Each cell of the table is the mean over
the seeds and its standard error. "Ahead" and "behind" mean that the mean
differs from the expectation of random search with p < 0.05 (t test, two-sided,
corrected by Holm over all searchers, numbers of children and tables). The aims:
the controller is ahead from 200 children on, evolution or local search from 100
on. The rule was written down before the runs.

The figure is like figure 6 of NASNet: validation accuracy of the best child,
and of the best 5 and 25 on average, over the number of children. Searches are
kept in W and are read again; two commands can fill the same W.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from jaxvision import files, genotypes, lookup
from jaxvision.report import significance
from jaxvision.sweeps import search

QUESTION = "Which searcher finds the best cells of NAS-Bench-201?"
NUMBERS = (50, 100, 200, 500, 1000)
TOPS = (1, 5, 25)
SEARCHERS = (
  *("controller", "controller(epochs=1)"),
  *("reinforce", "reinforce(bound=2.5)"),
  *("evolution", "evolution(population=20, sample=10)"),
  *("local_search", "tpe"),
)
# TPE takes seconds where evolution takes a tenth, and needs fewer seeds.
SEEDS_OF_TPE = 20
DRAWN = ("controller", "evolution(population=20, sample=10)", "local_search")
SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Table:
  """The accuracies of all cells.

  Attributes:
    name: of the data set.
    labels: number of labels of each decision.
    validation, test: accuracy in percent by picks.
  """

  name: str
  labels: tuple[int, ...]
  validation: Mapping[tuple[int, ...], float]
  test: Mapping[tuple[int, ...], float]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A searcher after some children on a table.

  Attributes:
    table, searcher, number: what was measured.
    mean, error: test accuracy in percent over seeds, and its standard error.
    seeds: number of seeds.
    random: exact expectation of random search.
    p: p-value of the difference, not corrected.
  """

  table: str
  searcher: str
  number: int
  mean: float
  error: float
  seeds: int
  random: float
  p: float


def read_table(path: pathlib.Path) -> Table:
  """Reads a table.

  Raises:
    ValueError: a cell of the space is not in the file.
  """
  cells = json.loads(path.read_text("utf-8"))
  space = genotypes.create("nasbench201")
  labels = tuple(map(len, space.decisions.values()))
  validation, test = {}, {}
  for picks in np.ndindex(labels):
    chosen = zip(space.decisions.items(), picks, strict=True)
    cell = space.write({name: all_[i] for (name, all_), i in chosen})
    if cell not in cells:
      raise ValueError(
        f"{path} has no cell {cell!r}; expected a table of all "
        f"{np.prod(labels)} cells of NAS-Bench-201"
      )
    validation[picks] = cells[cell]["val_acc_200"]
    test[picks] = cells[cell]["test_acc_200"]
  return Table(path.stem.removeprefix("nasbench201_"), labels, validation, test)


def run_search(
  table: Table, searcher: str, *, seed: int, children: int
) -> list[tuple[int, ...]]:
  """Returns the children of one search, in order."""
  run = _run_tpe if searcher == "tpe" else _run_ours
  return run(table, searcher, seed, children)


def _run_ours(
  table: Table, searcher: str, seed: int, children: int
) -> list[tuple[int, ...]]:
  made = lookup.call(searcher, functions=search.SEARCHERS, kind="searcher")
  ended: list[search.Child] = []
  for number in range(children):
    proposal = made.propose(table.labels, ended, [], seed=seed, number=number)
    # The unit of the published controllers' rewards is 1, not percent.
    value = table.validation[proposal.picks] / 100
    ended.append(search.Child(number, proposal.picks, value, proposal.notes))
  return [child.picks for child in ended]


def _run_tpe(
  table: Table, searcher: str, seed: int, children: int
) -> list[tuple[int, ...]]:
  import optuna

  del searcher
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
  study = optuna.create_study(direction="maximize", sampler=sampler)
  found = []
  for _ in range(children):
    trial = study.ask()
    picks = tuple(
      trial.suggest_categorical(str(i), range(n))
      for i, n in enumerate(table.labels)
    )
    study.tell(trial, table.validation[picks])
    found.append(picks)
  return found


def summarize(
  table: Table, children: Sequence[tuple[int, ...]]
) -> dict[str, list[float]]:
  """Returns the measures of a search after each number of `points`.

  "test" is the test accuracy of the best child so far by validation; "top 5" is
  the mean validation accuracy of the best 5 different children. In percent.
  """
  found: dict[str, list[float]] = {"test": [], **{f"top {k}": [] for k in TOPS}}
  for number in points(len(children)):
    seen = list(dict.fromkeys(children[:number]))
    found["test"].append(table.test[max(seen, key=table.validation.get)])
    values = sorted((table.validation[each] for each in seen), reverse=True)
    for k in TOPS:
      found[f"top {k}"].append(float(np.mean(values[:k])))
  return found


def points(children: int) -> list[int]:
  """Numbers of children at which a search is measured."""
  steps = {round(10 * 1.12**i) for i in range(60)} | set(NUMBERS)
  return sorted(each for each in steps if each <= children)


def expect_random(table: Table, number: int, *, top: int = 1) -> np.ndarray:
  """The exact expectation of random search without replacement.

  Of n different cells drawn from N, the cell of rank i (from 0) is drawn and
  among the best k with probability n / N * P(X < k), where X, the number of
  better cells among the other n - 1 draws, is hypergeometric.

  Returns:
    Mean validation and mean test accuracy of the best `top` cells, in percent.
  """
  cells = sorted(table.validation, key=table.validation.get, reverse=True)
  total, top = len(cells), min(top, number)
  better = stats.hypergeom(total - 1, np.arange(total), number - 1)
  weights = number / total * better.cdf(top - 1) / top
  both = [[table.validation[c], table.test[c]] for c in cells]
  return weights @ np.array(both)


def search_all(
  table: Table,
  searcher: str,
  folder: pathlib.Path,
  *,
  seeds: int,
  children: int,
) -> dict[str, dict[str, list[float]]]:
  """Returns {seed: measures}; runs the searches that the folder lacks."""
  path = folder / f"{table.name}-{children}" / f"{searcher}.json"
  found = json.loads(path.read_text("utf-8")) if path.exists() else {}
  path.parent.mkdir(parents=True, exist_ok=True)
  for seed in range(min(seeds, SEEDS_OF_TPE) if searcher == "tpe" else seeds):
    if str(seed) not in found:
      done = run_search(table, searcher, seed=seed, children=children)
      found[str(seed)] = summarize(table, done)
      files.write_json(path, found)
  return found


def compare(
  table: Table,
  searcher: str,
  found: Mapping[str, Mapping[str, Sequence[float]]],
  *,
  children: int,
) -> Iterator[Comparison]:
  """Yields the comparisons of a searcher with random search."""
  for number in (each for each in NUMBERS if each <= children):
    place = points(children).index(number)
    values = np.array([each["test"][place] for each in found.values()])
    expected = float(expect_random(table, number)[1])
    if len(values) < 2:
      p = float("nan")
    elif np.ptp(values):
      p = float(stats.ttest_1samp(values, expected).pvalue)
    else:
      p = float(np.isclose(values[0], expected))
    yield Comparison(
      *(table.name, searcher, number, float(values.mean())),
      error=float(stats.sem(values)) if len(values) > 1 else 0.0,
      seeds=len(values),
      random=expected,
      p=p,
    )


def write_table(comparisons: Sequence[Comparison]) -> str:
  """Returns the Markdown tables, one per data set, with the verdicts."""
  corrected = significance.holm([each.p for each in comparisons])
  cells = {
    (each.table, each.searcher, each.number): _cell(each, p)
    for each, p in zip(comparisons, corrected, strict=True)
  }
  numbers = list(dict.fromkeys(each.number for each in comparisons))
  lines = []
  for table in dict.fromkeys(each.table for each in comparisons):
    own = [each for each in comparisons if each.table == table]
    lines.append(f"| {table} | seeds | {' | '.join(map(str, numbers))} |")
    lines.append(f"|---|---:|{'---|' * len(numbers)}")
    random = {each.number: f"{each.random:.3f}" for each in own}
    lines.append(f"| random | exact | {' | '.join(random.values())} |")
    for name, seeds in {each.searcher: each.seeds for each in own}.items():
      row = " | ".join(cells[table, name, number] for number in numbers)
      lines.append(f"| {name} | {seeds} | {row} |")
    lines.append("")
  return "\n".join(lines)


def _cell(each: Comparison, p: float) -> str:
  if each.seeds < 2:
    return f"{each.mean:.3f}, one seed is not judged"
  verdict = "ahead" if each.mean > each.random else "behind"
  verdict = verdict if p < SIGNIFICANT else "no difference"
  return f"{each.mean:.3f} ± {each.error:.3f}, {verdict}"


def draw_figure(
  tables: Sequence[Table],
  results: Callable[[str, str], Mapping[str, Mapping[str, Sequence[float]]]],
  path: pathlib.Path,
  *,
  children: int,
) -> None:
  """Draws validation accuracy over the number of children.

  Args:
    tables: a row of the figure each.
    results: (table, searcher) -> {seed: measures}.
    path: of the picture.
    children: of a search.
  """
  from matplotlib.figure import Figure

  size = (4 * len(TOPS), 3.4 * len(tables))
  figure = Figure(figsize=size, layout="constrained")
  grid = figure.subplots(len(tables), len(TOPS), squeeze=False)
  places = points(children)
  for table, row in zip(tables, grid, strict=True):
    for k, axes in zip(TOPS, row, strict=True):
      expected = [expect_random(table, n, top=k)[0] for n in places]
      axes.plot(places, expected, color="black", label="random, exact")
      for name in DRAWN:
        curves = [e[f"top {k}"] for e in results(table.name, name).values()]
        axes.plot(places, np.mean(curves, axis=0), label=name)
      axes.set_xscale("log")
      axes.set_ylim(expected[len(places) // 4], None)
      axes.set_title(f"{table.name}, best {k}" if k > 1 else table.name)
      axes.set_xlabel("children")
      axes.grid(alpha=0.3)
  grid[0, 0].set_ylabel("validation accuracy, %")
  grid[0, 0].legend(fontsize=8)
  figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the searches of the command line; writes and prints the table."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("tables", nargs="+", type=pathlib.Path)
  parser.add_argument("--seeds", type=int, default=100)
  parser.add_argument("--children", type=int, default=max(NUMBERS))
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--searchers", nargs="+", default=SEARCHERS)
  asked = parser.parse_args(arguments)
  tables = [read_table(path) for path in asked.tables]
  results = {
    (table.name, name): search_all(
      *(table, name, asked.workdir),
      seeds=asked.seeds,
      children=asked.children,
    )
    for name in asked.searchers
    for table in tables
  }
  comparisons = [
    comparison
    for table in tables
    for name in asked.searchers
    for comparison in compare(
      *(table, name, results[table.name, name]), children=asked.children
    )
  ]
  text = write_table(comparisons)
  (asked.workdir / "table.md").write_text(text, "utf-8")
  files.write_json(
    asked.workdir / "results.json", [dataclasses.asdict(c) for c in comparisons]
  )
  if set(DRAWN) <= set(asked.searchers):
    draw_figure(
      tables,
      lambda table, name: results[table, name],
      asked.workdir / "figure.png",
      children=asked.children,
    )
  print(text)


if __name__ == "__main__":
  main()
