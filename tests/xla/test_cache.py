"""Tests of jaxvision.xla.cache: compiled programs are kept."""

import jax
import pytest

from jaxvision.xla import cache

_NAMES = (
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def options():
  """The options of jax by name, as they are now; restored after the test."""
  before = {name: getattr(jax.config, name) for name in _NAMES}
  yield lambda: tuple(getattr(jax.config, name) for name in _NAMES)
  for name, value in before.items():
    jax.config.update(name, value)


def _forget(monkeypatch):
  """An environment without settings of the user."""
  monkeypatch.delenv("JAXVISION_CACHE", raising=False)
  monkeypatch.delenv(_NAMES[1].upper(), raising=False)
  jax.config.update(_NAMES[0], None)
  jax.config.update(_NAMES[1], 1.0)


def test_a_chosen_directory_is_kept(options):
  before = options()
  assert before[0] is not None
  cache.cache_compilations()
  assert options() == before


def test_programs_go_to_the_cache_of_the_user(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  cache.cache_compilations()
  assert options() == (str(tmp_path / "jaxvision" / "compiled"), 0.0)


def test_the_cache_folder_of_the_account_is_used(
  options, monkeypatch, tmp_path
):
  _forget(monkeypatch)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "own"))
  cache.cache_compilations()
  assert options()[0] == str(tmp_path / "own" / "compiled")


def test_without_xdg_it_is_dot_cache(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  cache.cache_compilations()
  directory = str(tmp_path / ".cache" / "jaxvision" / "compiled")
  assert options()[0] == directory


def test_a_chosen_minimum_time_is_kept(options, monkeypatch, tmp_path):
  _forget(monkeypatch)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  monkeypatch.setenv(_NAMES[1].upper(), "1.0")
  cache.cache_compilations()
  assert options()[1] == 1.0
