"""The benchmark of the input pipeline: loaders, their processes, its tables."""

import importlib
import pathlib

import numpy as np
import pytest
from PIL import Image

_FOLDER = pathlib.Path(__file__).parents[3] / "experiments" / "benchmarks"


@pytest.fixture(scope="module")
def load():
  """Imports a file that the benchmark imports from its own folder."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(_FOLDER)
    yield importlib.import_module


@pytest.fixture(scope="module")
def folder(load, tmp_path_factory):
  folder = tmp_path_factory.mktemp("photos")
  photos = load("loaders.photos")
  sizes = photos.write(folder, number=8, width=500, height=375, noise=6.0)
  assert all(40_000 < size < 110_000 for size in sizes)
  return folder


def test_photos_have_the_sizes_asked_for(folder):
  files = sorted(folder.glob("*/*.jpg"), key=lambda file: int(file.stem))
  sizes = []
  for file in files:
    with Image.open(file) as image:
      sizes.append(image.size)
  assert sizes == 2 * [(500, 375), (500, 375), (500, 375), (375, 500)]


def test_ours_and_the_decoder_yield_batches(load, folder):
  batch = next(load("loaders.ours").batches(folder, batch_size=3, workers=0))
  assert batch["image"].shape == (3, 224, 224, 3)
  assert next(load("loaders.decoder").batches(folder, batch_size=2, workers=0))


def test_pillow_shows_parts_of_ratio_and_area(load, folder):
  pillow = load("loaders.pillow")
  file = str(next(folder.glob("*/*.jpg")))
  image = pillow.augmented(file, np.random.default_rng(0))
  assert image.size == (224, 224) and image.mode == "RGB"
  rng = np.random.default_rng(0)
  boxes = np.asarray([pillow._box(rng, 375, 500) for _ in range(500)])
  assert (boxes[:, :2] >= 0).all()
  assert (boxes[:, :2] + boxes[:, 2:] <= (375, 500)).all()
  areas = boxes[:, 2] * boxes[:, 3] / (375 * 500)
  assert 0.07 < areas.min() < 0.12 and areas.max() > 0.85


def test_a_process_takes_batches_and_counts_its_workers(load, folder):
  process = load("loaders.process")
  with process.opened(
    "jaxvision", folder, batch_size=4, workers=1, by="processes"
  ) as opened:
    cost = opened.take(2)
    memory = opened.memory()
  assert cost["seconds"] > 0 and cost["first"] > 0 and cost["cpu"] >= 0
  assert len(memory) == 2 and all(10 < each < 2000 for each in memory)


def test_a_loader_that_fails_says_so(load, tmp_path):
  process = load("loaders.process")
  with (
    process.opened("decoder", tmp_path, batch_size=4, workers=0) as opened,
    pytest.raises(RuntimeError, match="decoder: ZeroDivisionError"),
  ):
    opened.take(1)


def test_absent_packages_leave_a_loader_out(load, monkeypatch, capsys):
  benchmark, loaders = load("pipeline"), load("loaders")
  absent = loaders.Loader("x", "x", ("no_such_package",))
  monkeypatch.setitem(loaders.LOADERS, "torch", absent)
  assert benchmark.available(["jaxvision", "torch"]) == ["jaxvision"]
  message = capsys.readouterr().err
  assert "torch is left out: it needs no_such_package" in message


def test_ratios_are_medians_of_pairs(load):
  benchmark = load("pipeline")
  found = {"jaxvision": [1.0, 2.0, 4.0], "torch": [3.0, 4.0, 16.0]}
  ours, torch = benchmark.cores_table("500x375", found)[2:]
  assert ours.endswith("| 2.00 | 1.00 | 4.00 | 500 | 1.00 |")
  assert torch.endswith("| 4.00 | 3.00 | 16.00 | 250 | 3.00 |")


def test_the_first_round_does_not_count(load, folder):
  benchmark = load("pipeline")
  found = benchmark.measure(
    ["jaxvision", "decoder"], folder, rounds=2, batches=1, batch_size=2
  )
  assert [len(found[name]) for name in ("jaxvision", "decoder")] == [2, 2]
