"""The definition of a search: defaults, flags, and checks before any run."""

import pytest
import search_cases

from jaxvision import sweeps
from jaxvision.sweeps.stages import definition


def test_all_searchers_run_with_the_first_seed_before_the_second(tmp_path):
  loaded = sweeps.load_search(search_cases.write(tmp_path))
  assert [(part.name, part.seed) for part in loaded.parts] == [
    ("evolution_population=3_sample=2-0", 0),
    ("random-0", 0),
    ("evolution_population=3_sample=2-1", 1),
    ("random-1", 1),
  ]
  assert (loaded.children, loaded.final_seeds, loaded.final) == (5, 2, None)


def test_a_file_without_the_names_of_a_search_has_their_defaults(tmp_path):
  more = "del SEARCHERS, SEARCH_SEEDS, CHILDREN, FINAL_OVERRIDES, FINAL_SEEDS"
  loaded = sweeps.load_search(search_cases.write(tmp_path, more=more))
  assert {part.searcher for part in loaded.parts} == {
    *("controller", "evolution", "random")
  }
  assert len(loaded.parts) == 9
  assert (loaded.children, loaded.final_seeds) == (200, 5)
  assert loaded.final_overrides == loaded.experiment.overrides


def test_flags_replace_constants_and_overrides_reach_both_stages(tmp_path):
  loaded = sweeps.load_search(
    search_cases.write(tmp_path),
    {"train.duration": "9 steps"},
    replaced={"SEARCHERS": ("random",), "CHILDREN": 7, "SEARCH_SEEDS": None},
  )
  assert [part.name for part in loaded.parts] == ["random-0", "random-1"]
  assert loaded.children == 7
  assert loaded.experiment.overrides["train.duration"] == "9 steps"
  assert loaded.final_overrides == {
    "train.duration": "9 steps",
    "model.options.channels": 4,
  }


def test_the_trainings_of_a_search_have_its_seed(tmp_path):
  loaded = sweeps.load_search(search_cases.write(tmp_path))
  seeds = [
    definition.experiment_of(loaded, part).overrides["seed"]
    for part in loaded.parts
  ]
  assert seeds == [0, 0, 1, 1]
  typed = sweeps.load_search(search_cases.write(tmp_path), {"seed": 5})
  experiment = definition.experiment_of(typed, typed.parts[-1])
  assert experiment.overrides["seed"] == 5


def test_a_seed_in_the_space_is_not_overridden(tmp_path):
  more = 'SPACE["seed"] = sweep.seeds(2)'
  loaded = sweeps.load_search(search_cases.write(tmp_path, more=more))
  experiment = definition.experiment_of(loaded, loaded.parts[-1])
  assert "seed" not in experiment.overrides


@pytest.mark.parametrize(
  ("more", "message"),
  [
    ("SEARCHERS = 'random'", "expected a tuple of different searchers"),
    ("SEARCHERS = ('random', 'random')", "expected a tuple of different"),
    ("SEARCHERS = ('evolutoin',)", "did you mean 'evolution'"),
    ("SEARCHERS = (1,)", "expected a tuple"),
    ("CHILDREN = 0", r"CHILDREN \(--trials\)"),
    ("SEARCH_SEEDS = 'two'", "SEARCH_SEEDS is 'two'; if given"),
    ("final = {}", "final is {}; if given, it has the type Callable"),
    ("FINAL_OVERRIDES = {'train.duratoin': 1}", "did you mean 'train.durat"),
    ("SPACE = {'train.batch_size': sweep.grid(2, 4)}", 'use SEARCHERS = ."gr'),
    (
      "SPACE = {'seed': sweep.seeds(2), 'model.options.channels': "
      "sweep.integer(2, 4)}",
      "is a range from 2 to 4",
    ),
  ],
)
def test_errors_are_found_before_the_first_child(tmp_path, more, message):
  with pytest.raises(ValueError, match=message):
    sweeps.load_search(search_cases.write(tmp_path, more=more))


@pytest.mark.parametrize("name", ["CHILDREN", "SEARCH_SEEDS"])
def test_a_grid_refuses_flags_without_effect(tmp_path, name):
  more = "SPACE = {'train.batch_size': sweep.grid(2, 4)}\n"
  path = search_cases.write(tmp_path, more=f"{more}SEARCHERS = ('grid',)")
  assert [part.name for part in sweeps.load_search(path).parts] == ["grid-0"]
  with pytest.raises(ValueError, match="has no effect on a grid"):
    sweeps.load_search(path, replaced={name: 3})
