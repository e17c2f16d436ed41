"""Preparation gives equal bytes after kills, repeats and parallel runs."""

import concurrent.futures
import dataclasses
import io
import itertools
import json
import pathlib
import signal
import subprocess
import sys

import published_archives
import pytest
from preparations import files, imagenet_with, prepare, stored

from jaxvision import data
from jaxvision.data import preparation
from jaxvision.data.preparation import building


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  return folder


@pytest.fixture
def small_imagenet(source, monkeypatch):
  """The recipe of a whole ImageNet of 12 images, in shards of at most 2."""
  contents = published_archives.imagenet(source)
  recipe = dataclasses.replace(
    preparation.RECIPES["imagenet2012"],
    counts={split: len(each) for split, each in contents.items()},
    shard_size=2,
  )
  monkeypatch.setitem(preparation.RECIPES, "imagenet2012", recipe)
  return contents


def test_archives_and_folders_give_the_same_bytes(source, tmp_path):
  contents = published_archives.imagenet(source)
  made = [files(prepare("imagenet2012", source, tmp_path / "tars"))]
  for sorted_validation in (True, False):
    folder = tmp_path / f"folder{sorted_validation}"
    published_archives.imagenet_folder(
      folder, contents, sorted_validation=sorted_validation
    )
    (folder / ".DS_Store").write_bytes(b"")
    data_dir = tmp_path / f"data{sorted_validation}"
    made.append(files(prepare("imagenet2012", folder, data_dir)))
  assert made[0] == made[1] == made[2]


def test_the_number_of_threads_changes_nothing(
  small_imagenet, source, tmp_path
):
  one, many = (
    files(prepare("imagenet2012", source, tmp_path / str(n), threads=n))
    for n in (1, 4)
  )
  assert one == many
  assert len([name for name in one if "array_record-" in name]) == 5 + 2


def test_examples_are_shuffled(source, tmp_path):
  published_archives.imagenet(source, per_class=20)
  directory = prepare("imagenet2012", source, tmp_path)
  labels = [label for label, _ in stored(directory)["train"].values()]
  changes = sum(a != b for a, b in itertools.pairwise(labels))
  # In order there are 2; of 60 shuffled ones of 3 classes 39 are expected.
  assert changes > 25


_KILLED = """
import dataclasses, os, signal, sys
from jaxvision import data
from jaxvision.data import preparation
from jaxvision.data.preparation import building
recipe = preparation.RECIPES["imagenet2012"]
preparation.RECIPES["imagenet2012"] = dataclasses.replace(recipe, shard_size=2)
make, done = building.encoding.make_encoder, []
def make_dying(*arguments, **options):
  encode = make(*arguments, **options)
  def dying(image):
    done.append(image)
    if len(done) > int(sys.argv[3]):
      os.kill(os.getpid(), signal.SIGKILL)
    return encode(image)
  return dying
building.encoding.make_encoder = make_dying
data.prepare("imagenet2012", source=sys.argv[1], data_dir=sys.argv[2],
             allow_partial=True, threads=1)
"""


def test_a_killed_preparation_is_resumed(small_imagenet, source, tmp_path):
  whole = files(prepare("imagenet2012", source, tmp_path / "whole"))
  arguments = [str(source), str(tmp_path / "killed"), "6"]
  command = [sys.executable, "-c", _KILLED, *arguments]
  killed = subprocess.run(command, capture_output=True, text=True)
  assert killed.returncode == -signal.SIGKILL, killed.stderr
  directory = tmp_path / "killed" / "imagenet2012"
  assert [each.name for each in directory.iterdir()] == ["5.1.0.unfinished"]
  rows = {each.name: each for each in data.list_datasets(tmp_path / "killed")}
  assert rows["imagenet2012"].directory is None
  finished = sorted((directory / "5.1.0.unfinished/result").glob("*-of-00005"))
  before = {path.name: path.stat().st_mtime_ns for path in finished}
  assert (
    len(before) == 3
  )  # with 1, 2 and 2 examples; half of the next was written
  made = prepare("imagenet2012", source, tmp_path / "killed")
  assert files(made) == whole
  assert {n: (made / n).stat().st_mtime_ns for n in before} == before
  assert [each.name for each in directory.iterdir()] == ["5.1.0"]


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"quality": 50}, "different options"),
    ({"source": "less"}, "different train"),
  ],
)
def test_resuming_needs_the_same_source_and_options(
  change, message, source, tmp_path, monkeypatch
):
  published_archives.imagenet(source)
  less = tmp_path / "less"
  less.mkdir()
  published_archives.imagenet(less, per_class=2)

  def stop(*arguments, **options):
    raise OSError("the disk is full")

  with monkeypatch.context() as patch:
    patch.setattr(building.shards, "write", stop)
    with pytest.raises(OSError, match="full"):
      prepare("imagenet2012", source, tmp_path / "data")
  if "source" in change:
    change = {"source": less}
  with pytest.raises(ValueError, match=f"started with {message}.*remove this"):
    prepare(
      "imagenet2012", **{"source": source, **change}, data_dir=tmp_path / "data"
    )


def test_several_at_once_make_it_once(small_imagenet, source, tmp_path):
  def one(_):
    return prepare("imagenet2012", source, tmp_path / "data")

  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    made = set(pool.map(one, range(4)))
  assert len(made) == 1
  assert len(stored(made.pop())["train"]) == 9
  left = [each.name for each in (tmp_path / "data" / "imagenet2012").iterdir()]
  assert left == ["5.1.0"]


def test_unreadable_images_are_listed_and_left_out_on_request(
  small_imagenet, source, tmp_path, caplog
):
  broken = published_archives.jpeg(1)[:400]
  folder = imagenet_with(source, {"n02510455_1.JPEG": broken})
  with pytest.raises(
    ValueError, match=r"1 images.*n02510455_1\.JPEG: .*--allow"
  ):
    prepare("imagenet2012", folder, tmp_path / "d", allow_partial=False)
  assert not (tmp_path / "d/imagenet2012/5.1.0").exists()
  directory = prepare("imagenet2012", folder, tmp_path / "d")
  report = json.loads((directory / "preparation.json").read_text())
  assert [pathlib.Path(k).name for k in report["left_out"]] == [
    "n02510455_1.JPEG"
  ]
  assert "n02510455_1.JPEG" not in stored(directory)["train"]
  assert len(stored(directory)["train"]) == len(small_imagenet["train"]) - 1


def test_splits_without_images_are_left_out_on_request(source, tmp_path):
  folder = imagenet_with(source, {})
  for path in (folder / "val").glob("*/*"):
    path.unlink()
  directory = prepare("imagenet2012", folder, tmp_path / "data")
  assert list(stored(directory)) == ["train"]
  for path in (folder / "train").glob("*/*"):
    path.unlink()
  with pytest.raises(ValueError, match="no example of imagenet2012"):
    prepare("imagenet2012", folder, tmp_path / "nothing")


def test_a_terminal_shows_the_progress(source, tmp_path, monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  published_archives.imagenet(source)
  monkeypatch.setattr(sys, "stderr", Terminal())
  prepare("imagenet2012", source, tmp_path)
  printed = sys.stderr.getvalue()
  assert "imagenet2012" in printed and "12/12" in printed
