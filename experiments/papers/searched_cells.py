"""A controller finds cells that are better than hand-made ones.

  jaxvision search experiments/cells.py --workdir runs/claims/searched_cells \\
    --vectorize 10 --search-seeds 1
  python experiments/papers/searched_cells.py runs/claims/searched_cells

experiments/cells.py describes the cells, the children and the final stage. Here
each searcher searches once.

How to read the answer: the claim has two parts: (a) the cell of the controller
is better than the residual cell of the same cost, by the rule of
experiments/cells.py (five seeds), and (b) the mean value of the last 50
children of the controller is above that of random search, with p < 0.05
(Welch's test over the children). It "holds" if both are true, and "holds in
part" if one is.
"""

import pathlib
import sys

import claims
import numpy as np

from jaxvision.runs import search_folder

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import cells

CLAIM = claims.Claim(
  sentence="A controller that is trained by reinforcement proposes better and "
  "better cells, and the best is better than a hand-made one.",
  source="Zoph et al. 2018, NASNet, Figure 6 and Table 1",
  published="CIFAR-10, error: NASNet-A 2.65 % (3.3 M parameters), DenseNet-BC "
  "3.46 %; reinforcement over 1 % better than random search",
  data="MNIST at 14 px, 1,000 digits for children, 10,000 for the final stage",
  untested="Several searches of each searcher; NASNet's own space; large "
  "images.",
)
BEFORE = (
  "jaxvision search experiments/cells.py --workdir {runs} --vectorize 10 "
  "--search-seeds 1",
)
_LAST = 50


def judge(workdir: pathlib.Path) -> claims.Finding:
  """The verdict on a finished search."""
  from scipy import stats

  values = {
    part.searcher: np.array(
      [
        100 * child.value
        for child in search_folder.children(part.sweep)
        if child.value is not None
      ]
    )
    for part in search_folder.read_search(workdir).parts
  }
  last = {name: each[-_LAST:] for name, each in values.items()}
  test = stats.ttest_ind(last["controller"], last["random"], equal_var=False)
  networks = {
    label: each["overrides"]
    for label, each in search_folder.read_networks(workdir).items()
  }
  found = {
    each.label: each
    for each in cells.compare_winners(cells.read_accuracies(workdir), networks)
  }
  controller = found["controller"]
  made, panels = claims.figure(2)
  for name, each in values.items():
    best = np.maximum.accumulate(each)
    panels[0].plot(np.arange(1, len(best) + 1), best, label=name)
    means = np.convolve(each, np.full(_LAST, 1 / _LAST), mode="valid")
    panels[1].plot(np.arange(_LAST, len(each) + 1), means, label=name)
  panels[0].set_title("best child, validation accuracy, %", fontsize=9)
  panels[1].set_title(f"mean of {_LAST} children, %", fontsize=9)
  for axes in panels:
    axes.set_xlabel("children")
    axes.legend(fontsize=7)
  ahead = last["controller"].mean() - last["random"].mean()
  return claims.Finding(
    ours="winner minus residual cell, points: "
    + ", ".join(
      f"{name} {each.mean:+.2f} ± {each.half:.2f} ({each.verdict})"
      for name, each in found.items()
    )
    + f"; last {_LAST} children, controller minus random {ahead:+.1f} points "
    f"(p = {test.pvalue:.2g})",
    verdict=claims.verdict(
      (controller.verdict == "better", ahead > 0 and test.pvalue < 0.05)
    ),
    seeds=5,
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, judge, before=BEFORE)
