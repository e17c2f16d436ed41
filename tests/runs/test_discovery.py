"""Runs and sweeps are found below folders, and have names."""

import os
import pathlib

import fake_sweeps
import pytest
import watched_runs

from jaxvision.runs import discovery, sweep_folder


@pytest.fixture
def folder(tmp_path):
  root = tmp_path / "all"
  for name in ("b", "deep/er/a"):
    with watched_runs.training(root / name):
      pass
  fake_sweeps.write(root / "swept", [{"settings": {"r": 1}, "value": 0.5}] * 2)
  return root


def test_runs_and_sweeps_are_found_by_their_paths(folder):
  found = discovery.find([folder])
  assert found == {name: folder / name for name in ("b", "deep/er/a", "swept")}
  assert [each for each in found if sweep_folder.is_sweep(found[each])] == [
    "swept"
  ]
  names = [path.name for path in discovery.trials(folder / "swept")]
  assert names == ["0000", "0001"]


def test_a_run_and_a_sweep_have_their_own_names(folder, monkeypatch):
  assert [*discovery.find([folder / "b"])] == ["b"]
  assert [*discovery.find([folder / "swept"])] == ["swept"]
  monkeypatch.chdir(folder / "b")
  assert [*discovery.find(["."])] == ["b"]


def test_names_below_several_folders_differ(folder, monkeypatch):
  """A run that two folders contain is found once."""
  monkeypatch.chdir(folder)
  found = discovery.find(["deep", folder, folder / "b"])
  assert found == {
    name: pathlib.Path(name)
    for name in (str(folder / "b"), str(folder / "swept"), "deep/er/a")
  }


def test_hidden_folders_and_links_are_not_followed(folder):
  (folder / "b").rename(folder / ".b")
  os.symlink(folder, folder / "deep" / "loop")
  assert [*discovery.find([folder])] == ["deep/er/a", "swept"]


def test_a_folder_that_disappears_contains_nothing(tmp_path):
  assert discovery.find([tmp_path / "gone"]) == {}
  assert discovery.trials(tmp_path / "gone") == []
