"""The experiments and benchmarks run and give the stated measurements."""

import dataclasses
import sys

import experiment_scripts
import jax
import numpy as np
import pytest

from jaxvision import config as configs
from jaxvision import data

_NARROW = {
  "model.name": "resnet18",
  "model.options.blocks": (1,),
  "model.options.features": 4,
}


@pytest.fixture(scope="module")
def step():
  return experiment_scripts.load("benchmarks/step.py")


@pytest.fixture(scope="module")
def startup():
  return experiment_scripts.load("benchmarks/startup.py")


@pytest.fixture(scope="module")
def seeds():
  return experiment_scripts.load("digits_seeds.py")


@pytest.fixture(scope="module", autouse=True)
def _digits(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tfds")
  data.prepare("digits", data_dir=folder)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(folder))
    yield


def _workloads(step):
  """One with AdamW, smoothed labels and crops; one with SGD and BatchNorm."""
  at_224 = step.WORKLOADS["resnet50"]
  narrow = dataclasses.replace(
    at_224, overrides={**at_224.overrides, **_NARROW}
  )
  mlp = dataclasses.replace(step.WORKLOADS["mlp"], block=2)
  return {"mlp": mlp, "narrow": narrow}


@pytest.mark.slow
@pytest.mark.parametrize(
  "name", ["mlp", pytest.param("narrow", marks=[pytest.mark.slow])]
)
def test_all_variants_of_the_benchmark_train_the_same(step, tmp_path, name):
  workload = step.quick(_workloads(step)[name])
  results = {
    variant: jax.device_get(train(init()))
    for variant, (init, train) in step.make_variants(workload, tmp_path).items()
  }
  plain = results.pop("plain")
  assert len(results) == 3
  assert plain["step"] == workload.steps
  for state in results.values():
    assert state.step == workload.steps
    jax.tree.map(
      lambda own, other: np.testing.assert_allclose(own, other, atol=1e-5),
      (state.params, state.model_state),
      (plain["params"], plain["model"]),
    )


def test_benchmark_gives_every_variant_every_round(step):
  calls = []
  variants = {
    name: (lambda: 0, lambda state, name=name: calls.append(name))
    for name in ("plain", "ours")
  }
  seconds = step.measure(variants, rounds=2)
  assert calls == ["plain", "ours"] * 3  # the first pair warms up
  shapes = {name: times.shape for name, times in seconds.items()}
  assert shapes == {"plain": (2, 2), "ours": (2, 2)}


def test_benchmark_compares_within_rounds(step):
  # The second round was on a busy machine, which must not affect the result.
  plain = np.array([[1.0, 2.0], [10.0, 2.0], [1.0, 2.0]])
  seconds = {"plain": plain, "ours": plain * [[1.1, 1.05]]}
  _, row = step.table_rows("net", seconds, steps=10, batch_size=4)
  cells = [cell.strip() for cell in row.strip("|").split("|")]
  assert cells == ["net", "ours", "9.091", "36.36", "1.100", "1.050", "+10,000"]


@pytest.mark.slow
def test_benchmark_prints_a_table(step, capsys):
  step.main(["--models", "linear", "--rounds", "1", "--quick"])
  lines = capsys.readouterr().out.splitlines()
  names = [line.split("|")[2].strip() for line in lines[2:]]
  assert names == ["plain", "host", "device", "device x8"]


@pytest.mark.slow
def test_first_step_says_why_there_is_none(startup, tmp_path):
  with pytest.raises(RuntimeError, match="no recipe"):
    startup.seconds_to_first_step(
      ["--config", "none.py"], tmp_path / "run", cache=tmp_path
    )


@pytest.mark.slow
def test_first_step_is_sooner_with_the_cache(startup):
  recipe = str(experiment_scripts.FOLDER.parent / "configs" / "digits.py")
  seconds = startup.measure(["--config", recipe], rounds=1)
  cold, cached = seconds["first step, cold"], seconds["first step, cached"]
  assert cached < cold


@pytest.mark.slow
def test_seeds_are_trained_and_compared(seeds, tmp_path):
  rows = seeds.train_seeds(
    "linear", tmp_path, seeds=(0, 1), overrides={"train.duration": "8 steps"}
  )
  assert [row["seed"] for row in rows] == [0, 1]
  assert all(0.1 < row["accuracy"] < 1 for row in rows)
  page = (tmp_path / "comparison.html").read_text()
  assert "seed-0" in page and "seed-1" in page


def test_table_of_seeds(seeds):
  accuracies = (355 / 360, 357 / 360)
  rows = [
    {"seed": seed, "accuracy": accuracy, "seconds": 2.0}
    for seed, accuracy in enumerate(accuracies)
  ]
  lines = seeds.table("mlp", rows).splitlines()
  assert lines[2] == "| seed 0 | 98.61% | 5 | 2 |"
  assert lines[4] == "| mean | 98.89% | | 2 (median) |"
  assert lines[5] == f"| std | {np.std(accuracies, ddof=1):.2%} | | |"
  # Of 360 independent images.
  assert lines[6].startswith("| split error | 0.55% ")


@pytest.mark.slow
def test_loading_is_measured(monkeypatch, capsys):
  script = experiment_scripts.load("benchmarks/weights.py")
  arguments = ["weights.py", "--models", "vit_ti16", "--runs", "1"]
  monkeypatch.setattr(sys, "argv", arguments)
  script.main()
  model, size, seconds, share = (
    cell.strip() for cell in capsys.readouterr().out.split("|")[-5:-1]
  )
  assert model == "vit_ti16"
  assert float(size) == pytest.approx(22.9, abs=0.1)  # MB, 4 per parameter
  assert float(seconds) > 0
  assert float(share) > 0.5


@pytest.fixture(scope="module")
def augmentation():
  return experiment_scripts.load("augmentation.py")


def test_every_augmentation_can_be_made(augmentation):
  for name, overrides in augmentation.VARIANTS.items():
    config = configs.load(augmentation.BASE, overrides)
    data.make_device_transform(config.data.device_transforms)
    host = data.make_host_transform(config.data.train_transforms)
    assert host.random == (name == "RandAugment")


def test_few_digits_are_drawn_and_the_test_images_stay(augmentation, tmp_path):
  files = []
  for seed, size in ((0, 10), (1, 10), (0, 50)):
    path = tmp_path / f"{seed}-{size}.npz"
    augmentation.save_digits(path, per_class=size, seed=seed)
    files.append(dict(np.load(path)))
    labels, test = files[-1]["train_labels"], files[-1]["test_images"]
    np.testing.assert_array_equal(np.bincount(labels), [size] * 10)
    np.testing.assert_array_equal(test, files[0]["test_images"])
    seen = {image.tobytes() for image in files[-1]["train_images"]}
    assert not seen & {image.tobytes() for image in test}
  few, other, more = (
    {image.tobytes() for image in file["train_images"]} for file in files
  )
  assert few < more
  assert few != other


@pytest.mark.slow
def test_augmentations_are_trained_and_compared(augmentation, tmp_path):
  rows = augmentation.train_all(
    tmp_path,
    variants=("shifts", "RandAugment"),
    per_class=(5,),
    seeds=(0,),
    overrides={
      "model.name": "linear",
      "model.options": {},
      "train.batch_size": 48,
      "train.duration": "10 steps",
      "evaluate.every": "5 steps",
    },
  )
  assert all([step for step, _ in row["curve"]] == [5, 10] for row in rows)
  assert all(0.1 < row["accuracy"] < 1 for row in rows)
  lines = augmentation.table(rows).splitlines()
  names = [line.split(" | ")[0] for line in lines[2:]]
  assert names == ["| shifts", "| RandAugment"]
  augmentation.draw_curves(rows, tmp_path / "curves.png")
  assert (tmp_path / "curves.png").stat().st_size > 1000


def test_intervals_are_those_of_student(augmentation):
  mean, half = augmentation.interval([0.5, 0.7])
  # 12.706 is the 97.5 % quantile of one degree of freedom.
  assert (mean, half) == pytest.approx((0.6, 12.706 * 0.1), rel=1e-4)


def test_differences_are_of_the_same_seed(augmentation):
  rows = [
    {"variant": name, "per_class": 10, "seed": seed, "accuracy": accuracy}
    for name, accuracies in (("shifts", (0.5, 0.9)), ("mixup", (0.6, 1.0)))
    for seed, accuracy in enumerate(accuracies)
  ]
  _, _, shifts, mixup = augmentation.table(rows).splitlines()
  assert shifts == "| shifts | 70.00% ± 254.12% |  |"
  assert mixup == "| mixup | 80.00% ± 254.12% | +10.00 ± 0.00 |"


@pytest.mark.slow
def test_pictures_show_the_effect_of_an_augmentation(monkeypatch, tmp_path):
  script = experiment_scripts.load("augmentation_pictures.py")
  titles = ("image", "CutMix", "RandAugment")
  shown = {title: script.PICTURES[title] for title in titles}
  monkeypatch.setattr(script, "PICTURES", shown)
  photos, names = script.photographs(112)
  image, shares = script.augment(photos, "image", seed=script.SEED)
  np.testing.assert_array_equal(image, photos[0])
  assert script.caption(shares, names) == "temple 1.00"
  image, shares = script.augment(photos, "CutMix", seed=script.SEED)
  pasted = (image != photos[0]).any(-1)
  np.testing.assert_array_equal(image[pasted], photos[1][pasted])
  assert shares[0] == pytest.approx(1 - pasted.mean(), abs=1e-3)
  script.main(["--output", str(tmp_path / "all.png")])
  assert 10_000 < (tmp_path / "all.png").stat().st_size < 100_000


@pytest.mark.slow
def test_cost_of_augmentation_is_measured(monkeypatch, capsys):
  script = experiment_scripts.load("benchmarks/device_augmentation.py")
  cases = {name: script.CASES[name] for name in ("none", "CutMix")}
  monkeypatch.setattr(script, "CASES", cases)
  script.main(["--model", "linear", "--size", "16", "--rounds", "1"])
  lines = capsys.readouterr().out.splitlines()
  assert [line.split("|")[1].strip() for line in lines[2:]] == list(cases)
  cells = [float(cell.strip(" %")) for cell in lines[3].split("|")[2:-1]]
  assert all(cell > 0 for cell in cells)
