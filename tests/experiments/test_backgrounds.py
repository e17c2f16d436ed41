"""The study of backgrounds: its scenes, its trainings and its verdicts."""

import experiment_scripts
import numpy as np
import pytest
from background_sets import write_cut_outs
from PIL import Image

from jaxvision import data

COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))


@pytest.fixture
def study(tmp_path, monkeypatch):
  """The study with three classes of 16x16 pixels and backgrounds of a colour.

  Each class has its own colour.
  """
  script = experiment_scripts.load("backgrounds.py")
  path = tmp_path / "cut_outs.npz"
  write_cut_outs(path, per_class=6, side=8)
  (tmp_path / "pictures").mkdir()
  for number, colour in enumerate(COLOURS):
    image = Image.fromarray(np.full((20, 20, 3), colour, np.uint8))
    image.save(tmp_path / "pictures" / f"{number}.png")
  tiny = {
    "model.name": "linear",
    "model.options": {},
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.03,
    "data.train_transforms": (),
    "data.eval_transforms": (),
    "train.batch_size": 24,
    "evaluate.batch_size": 24,
    "train.duration": "40 steps",
  }
  changes = {
    "STAMPS": data.Source(kind="npz", name=str(path)),
    "SIZE": 16,
    "SCALE": 0.5,
    "CORRELATION": 1.0,
    "SCENES": {"train": 2, "validation": 3, "test": 1},
    "NETWORKS": {"fine-tuned": tiny, "scratch": tiny},
  }
  for name, value in changes.items():
    monkeypatch.setattr(script, name, value)
  return script


@pytest.fixture
def variants(study, tmp_path):
  return study.make_variants(
    study.read(study.STAMPS), tmp_path / "pictures", tmp_path, seed=1
  )


def test_scenes_of_a_photograph_are_in_one_part(study):
  labels = np.repeat([0, 1], [9, 65])
  rows = study.divide(labels, seed=3)
  assert {role: len(each) for role, each in rows.items()} == {
    "train": 2 * (6 + 43),
    "validation": 3 * (3 + 22),
    "test": 3 + 22,
  }
  assert set(rows["validation"]) == set(rows["test"])
  assert set(rows["train"]) | set(rows["test"]) == set(range(74))
  assert not set(rows["train"]) & set(rows["test"])


def _images(folder, variant, split):
  opened = data.open_variant(folder, variant, split=split)
  read = opened.read(list(range(opened.num_examples)))
  return np.stack([data.decode(image, channels=3) for image, _ in read]), [
    label for _, label in read
  ]


def test_backgrounds_have_the_colour_of_the_class(variants):
  for split, count in (("train", 24), ("validation", 18), ("test", 6)):
    images, labels = _images(variants, "only_bg_t", split)
    assert len(images) == count
    for image, label in zip(images, labels, strict=True):
      np.testing.assert_array_equal(image, np.full_like(image, COLOURS[label]))


def test_scenes_of_a_photograph_differ_in_the_place(variants):
  """Two scenes of each photograph: the same pixels at other places."""
  images, _ = _images(variants, "only_fg", "train")
  pixels = [tuple(sorted(each[each.any(-1)].tolist())) for each in images]
  photographs = {str(each) for each in pixels}
  scenes = {each.tobytes() for each in images}
  assert (len(photographs), len(scenes)) == (12, 24)


def test_variants_of_other_pictures_are_refused(study, variants, tmp_path):
  arrays = study.read(study.STAMPS)
  pictures = tmp_path / "pictures"
  again = study.make_variants(arrays, pictures, tmp_path, seed=1)
  assert again == variants
  (pictures / "0.png").rename(pictures / "9.png")
  with pytest.raises(ValueError, match="give another --workdir"):
    study.make_variants(arrays, pictures, tmp_path, seed=1)


def test_a_network_of_backgrounds_knows_only_them(study, variants, tmp_path):
  run = {"seed": 1, "weights": ""}
  found = study.train("scratch", "only_bg_t", variants, tmp_path / "run", **run)
  assert found["backgrounds/only_bg_t"] == 1
  assert found["backgrounds/mixed_same"] == 1
  assert found["backgrounds/mixed_next"] < 0.2
  assert not any(name.startswith("backgrounds_challenge") for name in found)


@pytest.mark.slow
def test_finished_runs_are_read_again(study, tmp_path, monkeypatch, capsys):
  sets = ("original", "mixed_rand", "only_bg_t")
  monkeypatch.setattr(study.background_findings, "TRAINED_ON", sets)
  arguments = [
    *("--weights", ""),
    *("--pictures", str(tmp_path / "pictures")),
    *("--workdir", str(tmp_path / "runs")),
    *("--seeds", "0", "1"),
  ]
  logs, printed = {}, []
  for _ in range(2):
    study.main(arguments)
    # Before the tables are lines of progress.
    printed.append(capsys.readouterr().out.partition("| fine-tuned")[2])
    for path in tmp_path.glob("runs/*/metrics.jsonl"):
      logs.setdefault(path, set()).add(path.stat().st_mtime_ns)
  assert len(logs) == 2 * 2 * 3
  assert all(len(times) == 1 for times in logs.values())
  assert printed[0] == printed[1]
  assert "| background, scratch | +66.7 ± 0.0 | +39.1 | holds |" in printed[0]
  assert (tmp_path / "runs" / "backgrounds.png").stat().st_size > 10_000
