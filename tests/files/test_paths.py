"""Paths that libraries would misread are replaced."""

import os
import pathlib

import pytest

from jaxvision.files import paths

MISREAD = ["a[1]", "a*", "a?", "a\\b", "gs:", os.fsdecode(b"\xff")]


@pytest.mark.parametrize("name", MISREAD)
@pytest.mark.parametrize("inside", [".", "run"])
def test_a_misread_path_has_a_plain_name(tmp_path, name, inside):
  folder = tmp_path / name / inside
  with paths.plain(folder, alone=True) as plain:
    assert not set(str(plain)) & set("[]*?\\:")
    (plain / "file").write_text("text")
    assert paths.real(plain / "file") == folder / "file"
    assert pathlib.Path(paths.real(plain)).samefile(folder)
  assert (folder / "file").read_text() == "text"


@pytest.mark.parametrize(
  "name", ["plain", "a b", "a%20#b", "é", "a:b", "{a,b}", "a\nb", "a]", "~a"]
)
def test_other_paths_stay_as_they_are(tmp_path, name):
  for alone in (True, False):
    with paths.plain(tmp_path / name, alone=alone) as plain:
      assert plain == tmp_path / name == paths.real(plain)
  assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", MISREAD)
def test_several_processes_are_refused_before_anything_is_made(tmp_path, name):
  with pytest.raises(ValueError, match=r"the path .* contains .*: .*Choose"):
    paths.check_plain(tmp_path / name / "run", alone=False)
  with (
    pytest.raises(ValueError, match="several processes"),
    paths.plain(tmp_path / name, alone=False),
  ):
    pass
  assert not list(tmp_path.iterdir())


def test_the_home_folder_is_written_as_a_tilde(monkeypatch):
  monkeypatch.setenv("HOME", "/home/of/mine")
  assert paths.expanded("~/runs") == "/home/of/mine/runs"
  for other in ("runs/~", "https://host/~me/a", "./~", ""):
    assert paths.expanded(other) == other
