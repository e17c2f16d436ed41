"""The programs and the table of docs/interpretation.md."""

import pathlib
import re

import pytest

from jaxvision import interpret
from jaxvision.evaluation import explanations

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "interpretation.md"
_TEXT = _PAGE.read_text("utf-8")
_PROGRAMS = re.findall(r"```python\n(.*?)```", _TEXT, re.DOTALL)


def test_the_table_lists_every_method():
  rows = re.findall(r"^\| `(\w+)` \|", _TEXT, re.MULTILINE)
  assert rows == list(interpret.ATTRIBUTIONS)


def test_the_table_of_measures_lists_every_measure():
  section = _TEXT.partition("## Judging heat maps")[2]
  rows = re.findall(r"^\| (\w+) \| [a-zA-Z]", section, re.MULTILINE)
  assert tuple(rows[1:]) == explanations.MEASURES


# Networks that are small enough for a test.
_SMALLER = {
  'num_classes=10, stem="small"': 'num_classes=10, stem="small", '
  "blocks=(1, 2), features=4",
  "patch_size=4, depth=2": "patch_size=4, depth=2, width=36, mlp_dim=48",
}


@pytest.mark.slow
@pytest.mark.parametrize(
  ("program", "printed"),
  [
    (0, "(5, 32, 32) (5, 32, 32, 3) uint8\n('cam', 'gradcam',"),
    (1, "embedding/kernel (28, 4, 4, 3)"),
  ],
)
def test_the_programs_run(program, printed, capsys):
  text = _PROGRAMS[program]
  for option, smaller in _SMALLER.items():
    text = text.replace(option, smaller)
  assert text != _PROGRAMS[program]
  exec(text, {})
  assert printed in capsys.readouterr().out
  assert len(_PROGRAMS) == 2
