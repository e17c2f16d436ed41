"""An experiment file is checked completely before a trial starts."""

import pytest
import tiny_runs

from jaxvision import sweeps
from jaxvision.sweeps.experiment import experiment

_TEXT = """
from jaxvision import sweep
QUESTION = "Which rate?"
BASE = {recipe!r}
OVERRIDES = {{"train.duration": "4 steps"}}
SPACE = {{{space}}}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The highest."
"""
_RATE = '"optimizer.learning_rate": sweep.grid(0.1, 0.2)'


def _write(folder, space=_RATE, **constants):
  tiny_runs.load_config(folder)
  text = _TEXT.format(recipe=str(folder / "recipe.py"), space=space)
  text += "".join(f"{name} = {value}\n" for name, value in constants.items())
  path = folder / "asked.py"
  path.write_text(text, "utf-8")
  return path


def test_a_file_defines_an_experiment(tmp_path):
  path = _write(tmp_path, PRUNING="sweep.halving(4)")
  found = sweeps.load(path, {"seed": "7"})
  assert found.question == "Which rate?" and found.read == "The highest."
  assert found.overrides == {"train.duration": "4 steps", "seed": "7"}
  assert found.objective == sweeps.maximize("validation/top1")
  assert found.pruning == sweeps.halving(4)
  assert found.space == {"optimizer.learning_rate": sweeps.grid(0.1, 0.2)}


@pytest.mark.parametrize(
  ("space", "message"),
  [
    ('"optimizer.learning_rat": sweep.grid(0.1)', "did you mean 'optimizer.l"),
    ('"train.batch_size": sweep.grid(16, 0)', "must be a whole number in"),
    ('"optimizer.learning_rate": sweep.grid(0.1, "a")', "is not of type float"),
    (
      '"o": sweep.grid({"a": {}, "b": {"loss.l3": sweep.uniform(0, 1)}})',
      "did you mean 'loss.l",
    ),
  ],
)
def test_a_key_or_value_that_the_config_rejects(tmp_path, space, message):
  with pytest.raises(ValueError, match=message):
    sweeps.load(_write(tmp_path, space))


def test_a_missing_part_is_named(tmp_path):
  with pytest.raises(ValueError, match="OBJECTIVE is None; it is required"):
    sweeps.load(_write(tmp_path, OBJECTIVE=None))
  with pytest.raises(FileNotFoundError, match="no experiment"):
    sweeps.load(tmp_path / "nothing.py")


def test_a_space_without_axes_is_one_run(tmp_path):
  asked = sweeps.load(_write(tmp_path, '"seed": 3'))
  experiment.check(asked)
  assert len(sweeps.plan(asked.space, searcher="grid", draws=1)) == 1


def test_folds_replace_those_of_the_file(tmp_path):
  for space in (
    _RATE,
    f'{_RATE}, "fold": sweep.folds(9)',
    f'{_RATE}, "data.folds": 3, "data.fold": sweep.grid(0, 1, 2)',
  ):
    found = sweeps.load(_write(tmp_path, space), folds=2, seeds=2)
    assert found.space == {
      # The folds are first: trials of a fold are neighbours.
      "fold": sweeps.folds(2),
      "optimizer.learning_rate": sweeps.grid(0.1, 0.2),
      "seed": sweeps.seeds(2),
    }
    assert next(iter(found.space)) == "fold"


def test_the_axis_of_folds_has_one_name(tmp_path):
  for space in (
    '"cv": sweep.folds(2)',
    '"o": sweep.grid({"a": {"cv": FOLDS}})',
  ):
    space = space.replace("FOLDS", "sweep.folds(2)")
    with pytest.raises(ValueError, match=r"axis 'cv' .* call it \"fold\""):
      sweeps.load(_write(tmp_path, space))
  with pytest.raises(ValueError, match=r"'data\.fold' is 2"):
    sweeps.load(_write(tmp_path, '"data.folds": 2, "data.fold": 2'))
