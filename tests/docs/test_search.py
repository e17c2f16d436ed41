"""The experiment in docs/search.md is a search."""

import pathlib
import re

from jaxvision import sweeps

_ROOT = pathlib.Path(__file__).parents[2]


def test_the_experiment_of_the_documents_is_a_search(tmp_path, monkeypatch):
  page = (_ROOT / "docs" / "search.md").read_text("utf-8")
  blocks = re.findall(r"```python\n(.*?)```", page, re.S)
  [text] = [block for block in blocks if "SEARCHERS" in block]
  path = tmp_path / "asked.py"
  path.write_text(text, "utf-8")
  monkeypatch.chdir(_ROOT)
  loaded = sweeps.load_search(path)
  assert len(loaded.parts) == 9 and loaded.experiment.pruning
  children = [
    sweeps.Ended(f"random-{n}", "random", n, 0, "complete", n, {}, {"seed": n})
    for n in range(5)
  ]
  assert loaded.final(children) == {
    "number 1": {"seed": 4},
    "number 2": {"seed": 3},
    "number 3": {"seed": 2},
  }
