"""Every command in the documents is one that this program has."""

import pathlib
import re
import shlex

import pytest

from jaxvision import cli
from jaxvision.cli import parsing
from jaxvision.cli.main import make_parser

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
# Files that the steps of the documents create, or that a reader has.
_MADE = ("my_", "question.py")
# Options that print and end, with no command or no other option.
_ENDING = ("--help", "--version")


def _lines(page: pathlib.Path) -> list[list[str]]:
  """The words of each command in the page's blocks.

  Blocks of bash have commands only. Other blocks have output, too: of these,
  the lines that begin with the name of this program, maybe after a "$".
  """
  found = []
  text = page.read_text("utf-8")
  blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
  for language, text in blocks:
    for line in text.replace("\\\n", " ").splitlines():
      if language == "bash":
        found.append(line)
      elif language in ("", "console"):
        found += re.findall(r"^(?:\$ )?(jaxvision (?!\d).*)$", line)
  return [words for line in found if (words := shlex.split(line, True))]


def _commands() -> list[list[str]]:
  found = []
  for page in PAGES:
    for words in _lines(page):
      while "=" in words[0]:  # a variable of the environment
        words = words[1:]
      # What follows ">" is a file of the shell.
      found.append(words[: words.index(">")] if ">" in words else words)
  return found


def _of_jaxvision() -> list[list[str]]:
  return [words[1:] for words in _commands() if words[0] == "jaxvision"]


def test_there_are_commands():
  assert len(_of_jaxvision()) > 40


_ABOUT = [words for words in _of_jaxvision() if words[-1] in _ENDING]
_RUN = [words for words in _of_jaxvision() if words not in _ABOUT]


@pytest.mark.parametrize("words", _ABOUT, ids=" ".join)
def test_options_that_only_print_exist(words, capsys):
  try:
    assert cli.main(words) == 0
  except SystemExit as stop:  # of --help
    assert stop.code == 0
  assert "jaxvision" in capsys.readouterr().out


@pytest.mark.parametrize("words", _RUN, ids=" ".join)
def test_its_options_exist(words, capsys):
  parser = make_parser()
  options, rest = parser.parse_known_args(words)
  parsing.overrides(rest, parser)
  recipe = getattr(options, "config", None)
  if recipe and not recipe.startswith(_MADE):
    assert (ROOT / recipe.partition(":")[0]).is_file()


def test_scripts_exist_and_say_where_they_run():
  """Scripts that compare with torch run in the environment that has it."""
  for words in _commands():
    program, *rest = words
    if program.endswith("python") and rest and rest[0].endswith(".py"):
      assert (ROOT / rest[0]).is_file(), rest[0]
      compares = "pytest.mark.parity" in (ROOT / rest[0]).read_text("utf-8")
      assert compares == (program == ".venv-parity/bin/python"), words
    if program == "make":
      targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
      assert set(rest) <= set(targets)
