"""The help of every command has examples, and each can be typed."""

import pathlib
import shlex

import pytest

from jaxvision import cli, config, models
from jaxvision.cli import parsing
from jaxvision.cli.main import make_parser

_ROOT = pathlib.Path(__file__).parents[2]


def _examples(parser):
  """The lines below "examples:" in the help, as a reader copies them."""
  _, _, listed = parser.format_help().partition("\nexamples:\n")
  return [line.strip() for line in listed.splitlines()]


_PARSERS = list(parsing.commands(make_parser()))
_LINES = [
  (parser.prog, line) for parser in _PARSERS for line in _examples(parser)
]


def _words(line):
  words = shlex.split(line)
  # What follows ">" is a file of the shell.
  return words[1 : words.index(">")] if ">" in words else words[1:]


@pytest.mark.parametrize("parser", _PARSERS, ids=lambda parser: parser.prog)
def test_every_help_has_three_examples(parser):
  lines = _examples(parser)
  assert len(set(lines)) == 3
  for line in lines:
    assert f"{line} ".startswith(f"{parser.prog} "), line


@pytest.mark.parametrize(("prog", "line"), _LINES, ids=lambda text: text)
def test_an_example_is_correct(prog, line):
  """Its options are parsed; its recipe, its keys and its model exist."""
  parser = make_parser()
  options, rest = parser.parse_known_args(_words(line))
  overrides = parsing.overrides(rest, parser)
  recipe = getattr(options, "config", None)
  assert recipe or not overrides
  if recipe:
    config.load(str(_ROOT / recipe), overrides)
  if getattr(options, "experiment", None):
    assert (_ROOT / options.experiment).is_file()
  if getattr(options, "model", None):
    assert options.model in models.names()
  if options.command == "models":
    assert models.names(options.pattern)


@pytest.mark.parametrize(
  "line", [line for _, line in _LINES if line.startswith("jaxvision launch ")]
)
def test_an_example_of_launch_passes_a_dry_run(
  line, tmp_path, monkeypatch, capsys
):
  for name in ("configs", "experiments"):
    (tmp_path / name).symlink_to(_ROOT / name)
  monkeypatch.chdir(tmp_path)
  words = _words(line)
  words.insert(words.index("--"), "--dry-run")
  assert cli.main(words) == 0, capsys.readouterr().err
