"""Tests of jaxvision.plan.cache: figures of earlier plans."""

import pytest

from jaxvision.plan import cache, compilation

FIGURES = compilation.Figures(
  mesh={"data": 8},
  batch_size=64,
  state={"parameters": 1},
  padding=0,
  temporaries=2,
  program=3,
  capacity=None,
  flops=4.0,
  peak_flops=None,
  sent={"all-reduce": {"number": 1, "bytes": 8.0}},
  refused="",
  seconds=0.5,
)


@pytest.fixture
def ask(monkeypatch, tmp_path):
  """Gets the figures of some facts; returns whether they were computed."""
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path))

  def is_made(facts):
    made = []
    assert cache.cached(facts, lambda: made.append(1) or FIGURES) == (FIGURES)
    return bool(made)

  return is_made


def test_equal_facts_are_read_from_the_cache(ask, tmp_path):
  assert ask({"config": {"seed": 0}})
  assert len(list((tmp_path / "plans").glob("*.json"))) == 1
  assert not ask({"config": {"seed": 0}})
  assert ask({"config": {"seed": 1}})


@pytest.mark.parametrize("name", ["XLA_FLAGS", "LIBTPU_INIT_ARGS"])
def test_other_compiler_flags_are_computed_again(ask, monkeypatch, name):
  monkeypatch.delenv(name, raising=False)
  assert ask({})
  monkeypatch.setenv(name, "--xla_of_another_mind=true")
  assert ask({})
  assert not ask({})
