"""Does a small captioner describe pictures and scenes that it has never seen?

  jaxvision data prepare stamps_captions --source=FILE.deb   # see docs/data.md
  jaxvision data prepare mnist --source=package/data
  python experiments/captions.py stamps --weights LITE0.pth  # 5 runs
  python experiments/captions.py scenes                      # 5 runs
  python experiments/captions.py --weights LITE0.pth         # both

Stamps. configs/captions_stamps.py, with the pictures of `stamps_captions`
divided anew for each of five seeds: 80 % of the different captions are for
training, and a caption is never in both parts. Captions that differ only in
capitals or punctuation are equal. The captions of the last step are compared
with those of two methods that need no training: the caption of the training
picture with the nearest features of EfficientNet-Lite0 (cosine of the 1280
numbers before its classifier, at 224 pixels), and the most frequent training
caption.

How to read the answer: for each metric, the difference to a method is taken
seed by seed. The captioner is "better" if the mean difference is larger than
twice its standard error over the five seeds, "worse" if it is smaller than
minus this, else "not different". The two aims are: better than the most
frequent caption in all six metrics, and better than the nearest picture in
CIDEr.

Scenes. configs/captions_scenes.py: 30,000 training scenes of the training
digits of MNIST and 2,000 test scenes of its test digits. The caption names both
digits and their places, "a seven above a three" or "a seven left of a three".
The share of test captions that are equal to the reference, word by word, is
above 95 %: the aim is "reached" if the mean over five seeds minus twice its
standard error is above 0.95.

These rules were written down before the runs.
"""

import argparse
import collections
import hashlib
import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

import jaxvision
from jaxvision import files

QUESTION = "Does a captioner describe pictures that it has never seen?"
_CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
BASE = str(_CONFIGS / "captions_stamps.py")
SCENES = str(_CONFIGS / "captions_scenes.py")
SEEDS = (0, 1, 2, 3, 4)
METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")
DIGITS = (
  *("zero", "one", "two", "three", "four"),
  *("five", "six", "seven", "eight", "nine"),
)
_TRAINED_SHARE = 0.8
_SIDE = 128  # pixels of a stamp in training
_FEATURE_SIDE = 224  # pixels of a stamp for the nearest picture
_HALF = 14  # pixels of a digit in a scene
_AIM = 0.95


def divide(captions: Sequence[str], seed: int) -> np.ndarray:
  """Whether each picture is for training, (n,) bool.

  Args:
    captions: of the pictures.
    seed: of the division of the different captions.
  """
  from jaxvision.metrics import text

  keys = [" ".join(text.tokenize(each, "coco")) for each in captions]
  different = sorted(set(keys))
  order = np.random.default_rng(seed).permutation(len(different))
  count = round(_TRAINED_SHARE * len(different))
  trained = {different[i] for i in order[:count]}
  return np.asarray([key in trained for key in keys])


def read_stamps() -> tuple[list[np.ndarray], list[str]]:
  """The pictures of the stamps, (s, s, 3) uint8 each, and their captions."""
  from jaxvision import data
  from jaxvision.configs import default
  from jaxvision.training import setup

  config = default.get_config()
  config.data.name = "stamps_captions"
  split = data.open_dataset(setup.make_source(config), "train")
  numbers = list(range(split.num_examples))
  images = [
    image
    if isinstance(image, np.ndarray)
    else data.decode(image, channels=3, max_pixels=10**7)
    for image, _ in split.read(numbers)
  ]
  return images, split.fields()["caption"].read(numbers)


def _resized(images: Sequence[np.ndarray], side: int) -> np.ndarray:
  from jaxvision import data

  resize = data.make_host_transform((f"resize(({side}, {side}))",))
  return np.stack([resize(None, image) for image in images])


def compute_features(images: np.ndarray, weights: str) -> np.ndarray:
  """The inputs of Lite0's classifier for images, (n, 1280) of length 1."""
  import jax

  from jaxvision import data, interpret
  from jaxvision import weights as files_of_weights

  name = "efficientnet_lite0"
  model, variables = files_of_weights.load(weights, name)
  of = files_of_weights.preprocessing(weights, name)
  normalization = data.Normalization(of.mean, of.std)

  @jax.jit
  def features(batch):
    pixels = data.normalize(batch, normalization)
    maps = interpret.tap(model, variables, pixels, layers=("bn2",))["bn2"]
    return jax.nn.relu6(maps).mean((1, 2))

  parts = [features(images[i : i + 32]) for i in range(0, len(images), 32)]
  found = np.concatenate(parts)
  return found / np.linalg.norm(found, axis=1, keepdims=True)


def baselines(
  captions: Sequence[str], trained: np.ndarray, features: np.ndarray
) -> dict[str, dict[str, float]]:
  """The metrics of the two methods without training on the test pictures."""
  from jaxvision.metrics import text

  own = np.flatnonzero(trained)
  test = np.flatnonzero(~trained)
  nearest = own[(features[test] @ features[own].T).argmax(1)]
  counts = collections.Counter(captions[i] for i in own)
  frequent = min(counts, key=lambda each: (-counts[each], each))
  references = [[captions[i]] for i in test]
  return {
    "nearest picture": text.caption_scores(
      [captions[i] for i in nearest], references
    ),
    "most frequent": text.caption_scores([frequent] * len(test), references),
  }


def run_stamps(
  weights: str, workdir: pathlib.Path, seeds: Sequence[int] = SEEDS
) -> list[dict[str, dict[str, float]]]:
  """Trains a run per seed, and returns {method: metrics} of each seed.

  Raises:
    ValueError: the folder has the results of other weights or seeds.
  """
  path = workdir / "stamps.json"
  digest = hashlib.sha256(pathlib.Path(weights).read_bytes()).hexdigest()
  about = {"weights_sha256": digest, "seeds": list(seeds)}
  if path.exists():
    return _read_results(path, about)
  workdir.mkdir(parents=True, exist_ok=True)
  images, captions = read_stamps()
  features = compute_features(_resized(images, _FEATURE_SIDE), weights)
  small = _resized(images, _SIDE)
  found = []
  for seed in seeds:
    trained = divide(captions, seed)
    data_file = workdir / f"stamps-{seed}.npz"
    write_split(data_file, small, captions, trained)
    result = jaxvision.train(
      f"{BASE}:{weights}",
      workdir=workdir / "stamps" / f"seed-{seed}",
      overrides={
        "seed": seed,
        "data.kind": "npz",
        "data.name": str(data_file),
        "data.validation": "",
        "data.train_transforms": (),
        "data.eval_transforms": (),
        "checkpoint.best": "",
        "evaluate.every": "40 epochs",
      },
    )
    ours = {name: result["final"]["metrics"][name] for name in METRICS}
    rest = baselines(captions, trained, features)
    found.append({"captioner": ours, **rest})
  files.write_json(path, {**about, "found": found})
  return found


def _read_results(
  path: pathlib.Path, about: Mapping[str, object]
) -> list[dict[str, dict[str, float]]]:
  """The results of a file about the same weights and seeds."""
  kept = json.loads(path.read_text("utf-8"))
  found = kept.pop("found")
  if kept != about:
    raise ValueError(
      f"{path} has the results of {kept}, but the command is for {about}; give "
      "another --workdir"
    )
  return found


def write_split(
  path: pathlib.Path,
  images: np.ndarray,
  captions: Sequence[str],
  trained: np.ndarray,
) -> None:
  """Writes pictures and captions as splits "train" and "test" of an npz."""
  arrays = {"class_names": np.asarray(["picture"])}
  for split, rows in (("train", trained), ("test", ~trained)):
    arrays[f"{split}_images"] = images[rows]
    arrays[f"{split}_labels"] = np.zeros(rows.sum(), np.int64)
    arrays[f"{split}_captions"] = np.asarray(captions)[rows]
  with files.writing(path) as file:
    np.savez(file, **arrays)


def draw_scene(
  rng: np.random.Generator, digits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, str]:
  """A scene (28, 28) uint8 of two digits, and its caption.

  Args:
    rng: of the scene.
    digits: (n, 14, 14) uint8.
    labels: (n,) digits.
  """
  one, other = rng.integers(len(digits), size=2)
  above = bool(rng.integers(2))
  moves = rng.integers(0, _HALF + 1, size=2)
  scene = np.zeros((2 * _HALF, 2 * _HALF), np.uint8)
  for number, (row, move) in enumerate(zip((one, other), moves, strict=True)):
    first = slice(number * _HALF, (number + 1) * _HALF)
    second = slice(move, move + _HALF)
    place = (first, second) if above else (second, first)
    scene[place] = digits[row]
  names = DIGITS[labels[one]], DIGITS[labels[other]]
  relation = "above" if above else "left of"
  return scene, f"a {names[0]} {relation} a {names[1]}"


def write_scenes(
  path: pathlib.Path, *, train: int = 30_000, test: int = 2_000
) -> None:
  """Writes scenes of MNIST's digits as an npz."""
  from jaxvision import data
  from jaxvision.configs import default
  from jaxvision.training import setup

  config = default.get_config()
  config.data.name = "mnist"
  arrays = {"class_names": np.asarray(["scene"])}
  for number, (split, count) in enumerate((("train", train), ("test", test))):
    opened = data.open_dataset(setup.make_source(config), split)
    read = opened.read(list(range(opened.num_examples)))
    labels = np.asarray([label for _, label in read])
    digits = np.stack([_half(image) for image, _ in read])
    rng = np.random.default_rng(number)
    drawn = [draw_scene(rng, digits, labels) for _ in range(count)]
    arrays[f"{split}_images"] = np.stack([scene for scene, _ in drawn])
    arrays[f"{split}_labels"] = np.zeros(count, np.int64)
    arrays[f"{split}_captions"] = np.asarray([text for _, text in drawn])
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.writing(path) as file:
    np.savez(file, **arrays)


def _half(image: bytes | np.ndarray) -> np.ndarray:
  """A digit of MNIST at half of its size, (14, 14) uint8."""
  from jaxvision import data

  if not isinstance(image, np.ndarray):
    image = data.decode(image, channels=1, max_pixels=10**4)
  parts = image.reshape(_HALF, 2, _HALF, 2).astype(np.float32)
  return np.rint(parts.mean(axis=(1, 3))).astype(np.uint8)


def run_scenes(
  workdir: pathlib.Path, seeds: Sequence[int] = SEEDS
) -> list[float]:
  """Trains a run per seed, and returns the share of exact captions of each."""
  path = workdir / "scenes.npz"
  if not path.exists():
    write_scenes(path)
  shares = []
  for seed in seeds:
    result = jaxvision.train(
      f"{SCENES}:{path}",
      workdir=workdir / "scenes" / f"seed-{seed}",
      overrides={"seed": seed},
    )
    shares.append(result["final"]["metrics"]["exact_match"])
  return shares


def judge(differences: Sequence[float]) -> str:
  """The verdict on differences of the seeds, by the rule above."""
  mean = statistics.mean(differences)
  bound = 2 * statistics.stdev(differences) / math.sqrt(len(differences))
  if mean > bound:
    return "better"
  return "worse" if mean < -bound else "not different"


def rows_of_stamps(
  found: Sequence[Mapping[str, Mapping[str, float]]],
) -> list[str]:
  """The rows of the table of the stamps."""
  rows = []
  for metric in METRICS:
    columns = {
      method: [each[method][metric] for each in found] for method in found[0]
    }
    ours = columns["captioner"]
    cells = [_mean_and_spread(each) for each in columns.values()]
    verdicts = [
      judge([a - b for a, b in zip(ours, columns[method], strict=True)])
      for method in list(columns)[1:]
    ]
    rows.append(f"| {' | '.join([metric, *cells, *verdicts])} |")
  return rows


def _mean_and_spread(values: Sequence[float]) -> str:
  return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the parts of the command line and prints their tables."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("parts", nargs="*", choices=("stamps", "scenes", []))
  parser.add_argument("--weights", help="file of EfficientNet-Lite0")
  parser.add_argument(
    "--workdir", type=pathlib.Path, default=pathlib.Path("runs", "captions")
  )
  options = parser.parse_args(arguments)
  parts = options.parts or ("stamps", "scenes")
  if "stamps" in parts:
    if not options.weights:
      parser.error("the stamps need --weights, a file of EfficientNet-Lite0")
    found = run_stamps(options.weights, options.workdir)
    names = [*found[0], "to the nearest", "to the most frequent"]
    print(f"| metric | {' | '.join(names)} |")
    print(f"|---|{'---:|' * len(found[0])}---|---|")
    print("\n".join(rows_of_stamps(found)))
  if "scenes" in parts:
    shares = run_scenes(options.workdir)
    error = statistics.stdev(shares) / math.sqrt(len(shares))
    reached = statistics.mean(shares) - 2 * error > _AIM
    print(
      f"scenes: exact captions {_mean_and_spread(shares)}, aim {_AIM}: "
      f"{'reached' if reached else 'not reached'}"
    )


if __name__ == "__main__":
  main()
