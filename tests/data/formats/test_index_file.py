import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxvision.data.formats import index_file

OLD = 10**18


@pytest.fixture
def files(tmp_path):
  folder = tmp_path / "data"
  folder.mkdir()
  paths = [folder / name for name in ("a.tar", "b.tar")]
  for path in paths:
    path.write_text("content")
    os.utime(path, ns=(OLD, OLD))
  return paths


class Builder:
  """Counts its calls."""

  def __init__(self):
    self.calls = 0

  def __call__(self):
    self.calls += 1
    return {"numbers": np.arange(self.calls), "empty": np.zeros((0, 3))}


def load(files, build):
  return index_file.load(files[0].parent, "train", of=files, build=build)


def test_an_index_is_made_once(files):
  build = Builder()
  first, second = load(files, build), load(files, build)
  assert build.calls == 1
  assert first.keys() == second.keys() == {"numbers", "empty"}
  for key in first:
    np.testing.assert_array_equal(first[key], second[key])
    assert first[key].dtype == second[key].dtype
  kept = [p.name for p in files[0].parent.iterdir() if p not in files]
  assert kept == [".jaxvision-train.npz"]


def grow(files):
  files[1].write_text("more content")
  os.utime(files[1], ns=(OLD, OLD))


def touch(files):
  os.utime(files[0], ns=(OLD, OLD + 1))


def rename(files):
  files[0] = files[0].rename(files[0].with_name("c.tar"))


def leave_out(files):
  del files[0]


def cut_the_index(files):
  os.truncate(files[0].with_name(".jaxvision-train.npz"), 300)


def empty_the_index(files):
  os.truncate(files[0].with_name(".jaxvision-train.npz"), 0)


@pytest.mark.parametrize(
  "change", [grow, touch, rename, leave_out, cut_the_index, empty_the_index]
)
def test_it_is_made_again_after_a_change(files, change):
  build = Builder()
  load(files, build)
  change(files)
  assert len(load(files, build)["numbers"]) == 2
  load(files, build)
  assert build.calls == 2


def test_data_that_move_keep_their_index(files, tmp_path):
  build = Builder()
  load(files, build)
  moved = files[0].parent.rename(tmp_path / "elsewhere")
  load([moved / path.name for path in files], build)
  assert build.calls == 1


def test_an_index_of_a_just_modified_file_is_not_cached(files):
  build = Builder()
  os.utime(files[0])
  load(files, build)
  load(files, build)
  assert build.calls == 2


def test_read_only_data_are_indexed_in_the_cache_folder(
  files, tmp_path, monkeypatch
):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "cache"))
  written = index_file._write

  def refuse(place, arrays):
    if place.parent == files[0].parent:
      raise PermissionError("read-only")
    written(place, arrays)

  monkeypatch.setattr(index_file, "_write", refuse)
  build = Builder()
  load(files, build)
  load(files, build)
  assert build.calls == 1
  assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


def test_nowhere_to_write_is_a_warning(files, tmp_path, monkeypatch, caplog):
  blocked = tmp_path / "file"
  blocked.touch()
  monkeypatch.setenv("JAXVISION_CACHE", str(blocked))
  folder = files[0].parent
  build = Builder()
  # The name of the index is taken by a folder that is not empty.
  (folder / ".jaxvision-train.npz" / "full").mkdir(parents=True)
  load(files, build)
  assert len(load(files, build)["numbers"]) == 2
  assert "will be recomputed next time" in caplog.text
  assert not list(folder.glob(".jaxvision-*tmp*"))
  assert len(list(folder.glob(".jaxvision-*"))) == 1


def test_a_file_that_is_not_there(files):
  with pytest.raises(FileNotFoundError):
    load([*files, files[0].with_name("none.tar")], Builder())


def test_several_processes_may_make_it_at_once(files):
  program = (
    "import pathlib, sys, time\n"
    "import numpy as np\n"
    "from jaxvision.data.formats import index_file\n"
    "paths = [pathlib.Path(each) for each in sys.argv[1:]]\n"
    "build = lambda: (time.sleep(.05), {'n': np.arange(10_000)})[1]\n"
    "for _ in range(20):\n"
    "  found = index_file.load(paths[0].parent, 'x', of=paths, build=build)\n"
    "  assert (found['n'] == np.arange(10_000)).all()\n"
  )
  command = [sys.executable, "-c", program, *map(str, files)]
  running = [subprocess.Popen(command) for _ in range(2)]
  assert [process.wait() for process in running] == [0, 0]
  left = [p.name for p in pathlib.Path(files[0].parent).iterdir()]
  assert sorted(left) == [".jaxvision-x.npz", "a.tar", "b.tar"]
