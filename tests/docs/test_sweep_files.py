"""The experiments in docs/sweeps.md are sweeps."""

import pathlib
import re

from jaxvision import sweeps

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "sweeps.md").read_text("utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE, re.S)


def _load(text, tmp_path, monkeypatch):
  path = tmp_path / "asked.py"
  path.write_text(text, "utf-8")
  monkeypatch.chdir(_ROOT)
  return sweeps.load(path, {})


def test_the_question_is_an_experiment(tmp_path, monkeypatch):
  found = _load(_BLOCKS[0], tmp_path, monkeypatch)
  searcher = sweeps.default_searcher(found)
  planned = sweeps.plan(found.space, searcher=searcher, draws=2, seed=0)
  assert len(planned) == 2 * 3  # draws and seeds
  assert found.pruning


def test_choices_have_spaces_of_their_own(tmp_path, monkeypatch):
  """The second block is another space of the same question."""
  found = _load(_BLOCKS[0] + _BLOCKS[1], tmp_path, monkeypatch)
  searcher = sweeps.default_searcher(found)
  how = {"searcher": searcher, "draws": 16, "seed": 0}
  planned = sweeps.plan(found.space, **how)
  shown = [
    sweeps.text(found.space, each)
    for each in sweeps.preview(found.space, planned, **how)
  ]
  assert len(shown) == 16
  for name in ("sgd", "adamw"):
    assert any(name in each for each in shown)
