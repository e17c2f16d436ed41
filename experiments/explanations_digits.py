"""Which heat map finds the digit, in a convnet and in a ViT?

  jaxvision data prepare mnist --source=package/data   # see docs/data.md
  python experiments/explanations_digits.py --pictures path/to/pictures

The same question as in explanations.py, for two networks that are trained here,
because no package has the weights of a ViT that classifies. A scene is a digit
of MNIST, 0 to 3, with 28 pixels for its side, at a random position over a
random part of a picture with 56 pixels. experiments/backgrounds.py says how to
get the pictures. Its mask is exact: it has the pixels of the digit above half
of white, and no others are in the scene. The pictures do not depend on the
class, so only the digit tells the class. The digits of the tests are those of
the test split of MNIST. Their backgrounds are other parts of the same pictures.

  convnet  two stages of a ResNet-18 with 24 features; its last map has 7x7
           positions
  vit      the hybrid of Dosovitskiy et al. 2021: the root of a ResNet, patches
           of 2x2 positions, which are 7x7 tokens, and four blocks of width 64.
           With patches of 8x8 pixels it learns these few scenes slowly: 78 % of
           the training scenes after 1,850 steps, and 72 % after 250 steps with
           the root

A seed draws the scenes, the initial parameters, the order and the random maps.
Each network is explained by the methods that fit it.

The measures, the baselines, the verdict and how to read it are those of
explanations.py. The intervals are of all that a seed draws, so other digits and
other networks of the same kind are in them; other pictures are not. A map of a
network that makes mistakes may be wrong for this reason: the accuracy of each
network is printed. The rule was written down before the runs. A stroke is
thinner than a position of the last map, 8x8 pixels, so the pointing game
without tolerance favours maps of pixels.
"""

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import explanations
import numpy as np

import jaxvision
from jaxvision import data, files, inference
from jaxvision.xla import settings

QUESTION = "Which heat map finds the digit, in a convnet and in a ViT?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "folder.py")
DIGITS = data.Source(kind="tfds", name="mnist")
CLASSES = (0, 1, 2, 3)
COUNTS = {"train": 8000, "test": 100}
SIZE = 56
SEEDS = (0, 1, 2)
_THRESHOLD = 127  # pixels above it are on the digit
_MAX_PIXELS = 100_000_000  # of a picture
# A square with 5 to 25 % of the area of the picture.
_BACKGROUND = (
  f"random_resized_crop({SIZE}, area=(0.05, 0.25), ratio=(1.0, 1.0))",
)
_PIXELS = (
  "gradient",
  "x_gradient",
  "smoothgrad(samples=20)",
  "integrated_gradients(steps=20)",
  "occlusion",
  "rise(masks=200)",
)
_MAPS = ("gradcam", "gradcam_pp", "hirescam", "layercam")
METHODS = {
  "convnet": ("cam", *_MAPS, *_PIXELS),
  "vit": (
    *("attention", "rollout", "gradient_rollout", "flow"),
    *_MAPS,
    *_PIXELS,
  ),
}
_TRAINING: dict[str, Any] = {
  "data.kind": "npz",
  "data.train": "train",
  "data.validation": "",
  "data.test": "test",
  "data.train_transforms": (),
  "data.eval_transforms": (),
  "data.device_transforms": ("random_crop(padding=4)",),
  "data.placement": "device",
  "train.batch_size": 64,
  "evaluate.batch_size": 50,
  "evaluate.every": "100 percent",
  "evaluate.explain": "",
  "checkpoint.best": "",
  "checkpoint.every": "100 percent",
  "log.tensorboard": False,
}
NETWORKS: dict[str, dict[str, Any]] = {
  "convnet": {
    "model.name": "resnet18",
    "model.options": {"blocks": (2, 2), "features": 24},
    "train.duration": "6 epochs",
  },
  "vit": {
    "model.name": "vit_ti16",
    "model.options": {
      "stem_units": (),
      "patch_size": 2,
      "width": 64,
      "depth": 4,
      "mlp_dim": 128,
      "num_heads": 4,
    },
    "optimizer.learning_rate": 0.002,
    "train.duration": "10 epochs",
  },
}


def compose(
  pictures: pathlib.Path, path: pathlib.Path, *, seed: int
) -> pathlib.Path:
  """Writes the scenes of a seed with their masks, or finds the finished ones.

  `data.make_backgrounds` would write eight variants of each scene.

  Returns:
    The .npz file.
  """
  if path.exists():
    return path
  opened = [
    data.read_image(each, channels=3, max_pixels=_MAX_PIXELS)
    for each in data.list_images([pictures])
  ]
  arrays: dict[str, Any] = {"class_names": np.array([str(n) for n in CLASSES])}
  for number, (split, count) in enumerate(COUNTS.items()):
    rng = np.random.default_rng([seed, number])
    digits, labels = _draw_digits(split, count, rng)
    scenes = [_scene(digit, opened, rng) for digit in digits]
    arrays[f"{split}_images"] = np.stack([image for image, _ in scenes])
    masks = np.stack([mask for _, mask in scenes])
    arrays[f"{split}_segmentation_masks"] = masks * np.uint8(255)
    arrays[f"{split}_labels"] = labels
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.writing(path) as file:
    np.savez(file, **arrays)
  return path


def _draw_digits(
  split: str, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Different digits (n, 28, 28, 1) uint8 of the classes, and their labels."""
  opened = data.open_dataset(DIGITS, split)
  stored = data.make_batches(opened, batch_size=500, channels=1).resident()
  known = (stored["mask"] > 0) & np.isin(stored["label"], CLASSES)
  rows = rng.permutation(np.flatnonzero(known))[:count]
  return stored["image"][rows], np.searchsorted(CLASSES, stored["label"][rows])


def _scene(
  digit: np.ndarray, pictures: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """A digit over a part of a picture, (56, 56, 3) uint8; its mask, bool."""
  picture = pictures[rng.integers(len(pictures))]
  scene = data.make_host_transform(_BACKGROUND)(rng, picture).copy()
  mask = np.zeros((SIZE, SIZE), bool)
  side = len(digit)
  top, left = rng.integers(SIZE - side + 1, size=2)
  place = np.s_[top : top + side, left : left + side]
  mask[place] = digit[..., 0] > _THRESHOLD
  scene[mask] = digit[mask[place]]
  return scene, mask


def train(
  network: str, scenes: pathlib.Path, folder: pathlib.Path, *, seed: int
) -> tuple[inference.TrainedRun, float]:
  """Trains a network on the scenes, or finds the finished run.

  Returns:
    The network, and its accuracy on the scenes of "test".
  """
  result = jaxvision.train(
    BASE,
    workdir=folder,
    overrides={
      **_TRAINING,
      **NETWORKS[network],
      "data.name": str(scenes),
      "seed": seed,
    },
  )
  return inference.load_run(folder), result["final"]["metrics"]["top1"]


def measure(
  network: str, scenes: pathlib.Path, workdir: pathlib.Path, *, seed: int
) -> Mapping[str, Any]:
  """Returns the accuracy and the measures of all methods of a network.

  Finished measures are read again.
  """
  path = workdir / f"{network}-{seed}.json"
  if not path.exists():
    run, accuracy = train(
      network, scenes, workdir / f"{network}-{seed}", seed=seed
    )
    found = explanations.measure(
      run, scenes, methods=METHODS[network], seed=seed
    )
    files.write_json(path, {"accuracy": accuracy, "methods": found})
  return files.read_json(path)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs or resumes the experiment."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument(
    "--pictures", type=pathlib.Path, required=True, help="a folder"
  )
  parser.add_argument(
    "--workdir",
    type=pathlib.Path,
    default=pathlib.Path("runs", "explanations_digits"),
  )
  parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  workdir = options.workdir.absolute()
  records: dict[str, list[Mapping[str, Any]]] = {name: [] for name in NETWORKS}
  for seed in options.seeds:
    scenes = compose(
      options.pictures, workdir / f"scenes-{seed}.npz", seed=seed
    )
    for network, found in records.items():
      found.append(measure(network, scenes, workdir, seed=seed))
  for network, found in records.items():
    accuracy = np.mean([each["accuracy"] for each in found])
    print(f"{network}, accuracy {accuracy:.1%}")
    results = [each["methods"] for each in found]
    print(explanations.table(results), end="\n\n")
    figure = explanations.draw(results)
    figure.savefig(workdir / f"explanations_{network}.png", dpi=110)


if __name__ == "__main__":
  main()
