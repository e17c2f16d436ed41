"""Tests of jaxvision.files.cache: the folder that the variables name."""

import pathlib

import pytest

from jaxvision import files


@pytest.mark.parametrize(
  ("variables", "expected"),
  [
    ({}, "home/.cache/jaxvision"),
    ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/jaxvision"),
    ({"XDG_CACHE_HOME": "/xdg", "JAXVISION_CACHE": "/own"}, "/own"),
    ({"JAXVISION_CACHE": "~/own"}, "home/own"),
    ({"JAXVISION_CACHE": ""}, "home/.cache/jaxvision"),
  ],
)
def test_the_cache_folder(monkeypatch, tmp_path, variables, expected):
  for name in ("JAXVISION_CACHE", "XDG_CACHE_HOME"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  assert files.cache_folder() == tmp_path / pathlib.Path(expected)
