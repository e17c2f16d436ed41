"""How few examples does a pre-trained network need? BiT's few-shot figure.

  python experiments/bit_transfer.py --workdir runs/bit_transfer

A small BiT is pre-trained on the digits 0 to 4. Each quarter turn of a digit is
a separate class, 20 in all, as in few-shot learning of characters (Santoro et
al. 2016, section 4.1). The network is transferred to the digits 5 to 9 with 1,
5, 10 or all examples per class. It is compared with the same network from new
parameters, and with methods without training: weighted cosine kNN, ridge
regression and LDA, on the features of the pre-trained network and on pixels.
All use one test set of unseen images of 5 to 9.

The seed determines the pre-trained network, the examples, and the order and
crops of fine-tuning. All ways of one seed use the same examples. LDA needs two
examples per class to estimate the covariance.

How to read the answer: each cell is the mean over the seeds and the half-width
of its 95 % interval (Student's t), in percent. "transfer" minus "scratch" is
the gain of pre-training. "transfer" minus the probes on features is the gain of
fine-tuning over frozen features. Features minus pixels is the gain of the
learned features on new digits.
"""

import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import shots
from sklearn import datasets

import jaxvision
from jaxvision import data, files, parallel, weights
from jaxvision.evaluation import probes
from jaxvision.evaluation.probes import fewshot
from jaxvision.xla import settings

QUESTION = "How few examples does a pre-trained network need?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "bit_transfer.py")
OLD, NEW = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
SHOTS = (1, 5, 10, 0)  # 0 means all
SEEDS = (0, 1, 2, 3, 4)
PROBES = ("knn", "ridge", "lda")
WAYS = (
  "transfer",
  "scratch",
  *(f"{name}, {of}" for of in ("features", "pixels") for name in PROBES),
)
_STYLES = {
  way: {
    "color": f"C{number if number < 5 else number - 3}",
    "linestyle": ":" if way.endswith("pixels") else "-",
    "linewidth": 2.5 if number < 2 else 1.2,
  }
  for number, way in enumerate(WAYS)
}
# The best of 0.01, 0.03 and 0.1 at 10 examples per class, on the examples of
# the pool that seed 100 did not draw. 0.1 is equally good.
LEARNING_RATES = {"transfer": 0.03, "scratch": 0.03}
# BiT with two of its four blocks, of one unit each. The rule has no resizing
# and no mirroring here: a mirrored digit is not a digit, and cropping images of
# 8 pixels cost eight to ten points. A step has fewer examples.
_SMALL = {
  "model.options": {"units": (1, 1), "stem": "small"},
  "data.kind": "npz",
  "data.channels": 1,
  "data.train": "train",
  "data.validation": "",
  "data.test": "test",
  "data.train_transforms": (),
  "data.eval_transforms": (),
  "data.device_transforms": ("random_crop(padding=1)",),
  "data.placement": "device",
  "train.batch_size": 64,
  "evaluate.batch_size": 128,
  "checkpoint.best": "",
  "log.tensorboard": False,
}
_PRETRAINING = {
  "train.duration": "20 epochs",
  "optimizer.learning_rate": 0.03,
  "schedule.name": "cosine",
  "schedule.options": {},
  "schedule.warmup": "10 percent",
}


def load() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
  """Returns images (n, 8, 8, 1) and labels 0..4 of the old and new digits."""
  digits = datasets.load_digits()
  images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
  parts = []
  for classes in (OLD, NEW):
    rows = np.isin(digits.target, classes)
    labels = np.searchsorted(classes, digits.target[rows])
    parts.append((images[rows], labels))
  return tuple(parts)


def hold_out(
  images: np.ndarray, labels: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
  """Returns the training pool and the test set, which is every third image."""
  test = np.arange(len(labels)) % 3 == 2
  return (images[~test], labels[~test]), (images[test], labels[test])


def turned(
  images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns each quarter turn of images (n, h, w, c) as a separate class."""
  turns = range(4)
  return (
    np.concatenate([np.rot90(images, turn, axes=(1, 2)) for turn in turns]),
    np.concatenate([labels + len(OLD) * turn for turn in turns]),
  )


def draw(labels: np.ndarray, *, number: int, seed: int) -> np.ndarray:
  """Returns rows of `number` examples per class; all rows if it is 0."""
  if not number:
    return np.arange(len(labels))
  return fewshot.draw(labels, shots=number, num_classes=len(NEW), seed=seed)


def write_arrays(
  path: pathlib.Path,
  train: tuple[np.ndarray, np.ndarray],
  test: tuple[np.ndarray, np.ndarray],
) -> pathlib.Path:
  """Writes an .npz data set of two splits and returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  np.savez(
    path,
    train_images=train[0],
    train_labels=train[1],
    test_images=test[0],
    test_labels=test[1],
    class_names=[str(label) for label in range(max(train[1]) + 1)],
  )
  return path


def fine_tune(
  arrays: pathlib.Path, workdir: pathlib.Path, **overrides: Any
) -> float:
  """Trains by the BiT rule and returns the accuracy on the test split."""
  with np.load(arrays) as file:
    count = len(file["train_labels"])
  dotted = {key.replace("__", "."): value for key, value in overrides.items()}
  result = jaxvision.train(
    f"{BASE}:{count},8x8",
    workdir=workdir,
    overrides={**_SMALL, "data.name": str(arrays), **dotted},
  )
  return result["final"]["metrics"]["top1"]


def pretrain(seed: int, workdir: pathlib.Path) -> pathlib.Path:
  """Trains on the old digits and returns the run's folder."""
  folder = workdir / f"pretrained-{seed}"
  train, test = hold_out(*load()[0])
  arrays = write_arrays(workdir / "old.npz", turned(*train), turned(*test))
  overrides = {key.replace(".", "__"): v for key, v in _PRETRAINING.items()}
  fine_tune(arrays, folder, seed=seed, **overrides)
  return folder


def probe(pretrained: pathlib.Path, arrays: pathlib.Path) -> dict[str, float]:
  """Returns the accuracies of the probes on features and pixels, by way."""
  mesh = parallel.make_mesh()
  model, variables = weights.load(
    pretrained, "bit_r50x1", sharding=parallel.replicated(mesh)
  )
  source = data.Source(kind="npz", name=str(arrays))
  train, test = (
    data.make_batches(
      data.open_dataset(source, split), batch_size=128, channels=1
    )
    for split in ("train", "test")
  )
  calls = {"knn": f"knn(k={min(20, train.num_examples)})", "ridge": "ridge"}
  if train.num_examples > len(NEW):
    calls["lda"] = "lda"
  names = {
    f"{name}, {of}": call if of == "features" else f"pixels/{call}"
    for of in ("features", "pixels")
    for name, call in calls.items()
  }
  measure = probes.make_evaluator(
    list(names.values()),
    model,
    train,
    test,
    num_classes=len(NEW),
    normalization=data.Normalization((0.5,), (0.5,)),
    mesh=mesh,
  )
  found = measure(variables)
  return {way: found[name]["top1"] for way, name in names.items()}


def compare(seed: int, workdir: pathlib.Path) -> dict[int, dict[str, float]]:
  """Returns the accuracy of each way at each number of shots, for a seed."""
  pretrained = pretrain(seed, workdir)
  (images, labels), test = hold_out(*load()[1])
  found = {}
  for number in SHOTS:
    rows = draw(labels, number=number, seed=seed)
    folder = workdir / f"shots-{number or 'all'}-seed-{seed}"
    arrays = write_arrays(
      folder / "new.npz", (images[rows], labels[rows]), test
    )
    found[number] = {
      start: fine_tune(
        arrays,
        folder / start,
        seed=seed,
        model__weights=str(pretrained) if start == "transfer" else "",
        optimizer__learning_rate=rate,
      )
      for start, rate in LEARNING_RATES.items()
    } | probe(pretrained, arrays)
  return found


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs or resumes the experiment."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument(
    "--workdir", type=pathlib.Path, default=pathlib.Path("runs", "bit_transfer")
  )
  parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  workdir = options.workdir.absolute()
  results = [compare(seed, workdir) for seed in options.seeds]
  files.write_json(workdir / "results.json", results)
  shots.draw_figure(
    results,
    _STYLES,
    workdir / "bit_transfer.png",
    title="test accuracy on the digits 5 to 9 (%)",
  )
  print(shots.table(results, WAYS))
  print(f"figure: {workdir / 'bit_transfer.png'}")


if __name__ == "__main__":
  main()
