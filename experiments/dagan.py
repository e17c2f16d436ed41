"""Do images of DAGAN help a classifier that has few examples of new classes?

  jaxvision data prepare mnist --source=package/data   # see docs/data.md
  python experiments/dagan.py                          # trains, prints a table
  python experiments/dagan.py --workdir runs/dagan     # reads finished cells
  jaxvision data prepare hangul --source=fonts         # see docs/data.md
  python experiments/dagan.py --data hangul            # in runs/dagan_hangul

DAGAN (configs/dagan.py) is trained on some classes of a data set, and a
classifier on k examples of each of other classes, k = 1 to 15:

            DAGAN            classifier                 its test images
  mnist     the digits 0-4   the digits 5 to 9          1,000 of the test split,
                                                        the same in all draws
  hangul    1,778 syllables  20 of 460 other            the 13 fonts of each
            in 28 fonts      syllables, drawn again     syllable that the 15
                             in each draw               examples leave

DAGAN never sees the classes of the classifier. It sees all fonts. The
classifier is trained with four methods:

  real              the k examples
  shifts            the k examples, moved by up to 2 pixels (the ordinary
                    augmentation of configs/mnist.py)
  dagan             half of each batch is images that DAGAN made of the k
                    examples, 50 of each; a bit tells the classifier which
                    images are real
  dagan, shifts     both

The classifier is low_data_densenet with three blocks of growth 8 and the Adam
of github.com/amurthy1/dagan_torch. All methods take the same number of steps of
32 images: 250 with 5 classes, 1,000 with 20. Ten draws of the examples are ten
classifiers of each method. A draw has the same examples, the same test images
and the same initial parameters in all methods.

The abstract of the paper reports 69 % without and 82 % with DAGAN on Omniglot.
An independent implementation has 67.1 and 69.5 % for 5 examples of each class,
with a one-sided confidence of 60.7 % (amurthy1/dagan_torch, README).

How to read the answer (written before the runs, for each data set by itself):
the difference of two methods is tested in pairs over the draws (Student,
two-sided), and the p-values of the six numbers of examples are corrected by
Holm. For a number of examples, DAGAN "helps" if the difference is positive and
the corrected p is below 0.05, "hurts" if it is negative and below 0.05, and
otherwise "no difference is shown". The question has the answer "yes" if DAGAN
helps without shifts for at least four of the six numbers, and hurts for none;
and it is "yes, beside shifts" if the same holds with shifts in both methods.
All other results are "no".

The standard error of the 1,000 images of mnist, 1.6 points at 50 %, is common
to all methods and draws: its answer is about these images and these five
digits. The draws of hangul differ in syllables and test images, so the spread
over draws contains both: its answer is about new syllables, in these fonts.
"""

import argparse
import functools
import itertools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagan_data
import dagan_figures
import jax
import numpy as np

import jaxvision
from jaxvision import files, inference
from jaxvision.configs import default
from jaxvision.evaluation import low_data
from jaxvision.inference import pretrained
from jaxvision.report import significance
from jaxvision.training import setup
from jaxvision.training.step import make_train_step

QUESTION = "Do images of DAGAN help a classifier with few examples?"
RECIPE = str(pathlib.Path(__file__).parents[1] / "configs" / "dagan.py")
EXAMPLES = (1, 2, 3, 5, 10, 15)
DRAWS = 10
BATCH = 32
PER_IMAGE = 50  # generated images of each example
MODEL: Mapping[str, Any] = {
  "blocks": (3, 3, 3),
  "growth": 8,
  "features": 16,
  "bottleneck": 2,
  "stem": "small",
}
_SHOWN = 5  # classes in the picture
LEAST = 4  # numbers of examples at which a method must help
SHIFTS = ("random_crop(padding=2)",)
# method -> (share of generated images in a batch, device transforms)
METHODS: Mapping[str, tuple[float, tuple[str, ...]]] = {
  "real": (0.0, ()),
  "shifts": (0.0, SHIFTS),
  "dagan": (0.5, ()),
  "dagan, shifts": (0.5, SHIFTS),
}
# (method without DAGAN, method with it)
COMPARED = (("real", "dagan"), ("shifts", "dagan, shifts"))

Images = dagan_data.Images


def train_dagan(
  name: str, workdir: pathlib.Path, overrides: Mapping[str, Any]
) -> inference.TrainedRun:
  """DAGAN of a data set; a finished run is read again."""
  run = workdir / "dagan"
  jaxvision.train(
    f"{RECIPE}:{name}",
    workdir=run,
    overrides={**dagan_data.DATA[name].write(workdir), **overrides},
  )
  return inference.load_run(run)


def measure_dagan(
  name: str, run: inference.TrainedRun, workdir: pathlib.Path
) -> dict[str, dict[str, float]]:
  """The metrics of DAGAN on classes that it has seen, and on new ones."""
  found = {}
  for classes, part in dagan_data.DATA[name].measured(workdir).items():
    batches = pretrained.make_batches(run, *part, size=200)
    found[classes] = inference.measure(run, batches).metrics
  return found


def make_generator(
  run: inference.TrainedRun,
) -> Callable[[np.ndarray, int], np.ndarray]:
  """(images (n, h, w, c), seed) -> (PER_IMAGE * n, h, w, c), all n in turn."""
  generator = run.task.generator
  sample = jax.jit(generator.generate)

  def generate(images: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (PER_IMAGE, len(images), generator.noise)
    noises = rng.normal(size=shape).astype(np.float32)
    made = [np.asarray(sample(run.variables, images, z)) for z in noises]
    return np.concatenate(made)

  return generate


class Trainer:
  """Trains classifiers of one method, with one compiled step.

  Attributes:
    share: of generated images in a batch.
  """

  def __init__(self, method: str, classes: int):
    self.share, transforms = METHODS[method]
    config = default.get_config()
    config.model.name = "low_data_densenet"
    config.model.options = dict(MODEL)
    config.task.options = {"real_bit": True}
    config.data.device_transforms = transforms
    config.optimizer.name = "adam"
    config.optimizer.options = {"b1": 0.9, "b2": 0.99}
    config.optimizer.learning_rate = 1e-3
    self._task = setup.make_task(
      config,
      setup.make_model(config, classes),
      image_shape=(28, 28, 1),
      class_names=tuple(map(str, range(classes))),
    )
    self._init = jax.jit(self._task.init)
    params = jax.eval_shape(self._task.init, jax.random.key(0))["params"]
    self._optimizer = setup.make_optimizer(config, lambda step: 1e-3, params)
    self._start = jax.jit(
      lambda variables: setup.init_state(config, variables, self._optimizer)
    )
    step = make_train_step(self._task.loss, self._optimizer, seed=0)
    self._step = jax.jit(step, donate_argnums=0)
    self._evaluate = jax.jit(self._task.evaluate)

  def accuracy(
    self,
    real: Images,
    made: Images | None,
    test: Images,
    *,
    draw: int,
    steps: int,
  ) -> float:
    """The test accuracy of a classifier.

    Args:
      real: the examples.
      made: generated images; None without them.
      test: the test images.
      draw: number of the draw, the seed.
      steps: of the training.
    """
    rng = np.random.default_rng(draw)
    state = self._start(self._init(jax.random.key(draw)))
    # The keys of a step follow from its number: each draw has its own.
    state = state.replace(step=state.step + draw * 100_000)
    for _ in range(steps):
      state, _ = self._step(state, self._batch(rng, real, made))
    right = 0
    for first in range(0, len(test[0]), 200):
      rows = slice(first, first + 200)
      batch = _as_batch(test[0][rows], test[1][rows], 0.0)
      sums, _ = self._evaluate(state.variables, batch)
      right += float(np.trace(sums["confusion"]))
    return right / len(test[0])

  def _batch(
    self, rng: np.random.Generator, real: Images, made: Images | None
  ) -> dict[str, np.ndarray]:
    """Random real images, then random generated ones."""
    count = round(self.share * BATCH) if made else 0
    parts = [(*real, BATCH - count, 0.0)]
    parts += [(*made, count, 1.0)] if count else []
    found = []
    for images, labels, size, flag in parts:
      rows = rng.integers(0, len(images), size)
      found.append(_as_batch(images[rows], labels[rows], flag))
    return {k: np.concatenate([each[k] for each in found]) for k in found[0]}


def _as_batch(
  images: np.ndarray, labels: np.ndarray, generated: float
) -> dict[str, np.ndarray]:
  return {
    "image": images,
    "label": labels.astype(np.int32),
    "mask": np.ones(len(images), np.float32),
    "generated": np.full(len(images), generated, np.float32),
  }


def measure(
  name: str,
  run: inference.TrainedRun,
  workdir: pathlib.Path,
  *,
  examples: Sequence[int] = EXAMPLES,
  draws: int = DRAWS,
  steps: int = 0,
) -> dict[str, dict[int, list[float]]]:
  """The accuracies {method: {examples: by draw}}; finished cells are read.

  A cell with generated images is that of this generator only. If test images
  are those that the examples leave, a cell is that of its test images only.

  Args:
    name: of the data set.
    run: of DAGAN.
    workdir: of the accuracies.
    examples: numbers of examples of each class.
    draws: of the examples.
    steps: of a classifier; 0 means those of the data set.
  """
  of = dagan_data.DATA[name]
  steps = steps or of.steps
  path = workdir / "accuracies.json"
  found = json.loads(path.read_text("utf-8")) if path.exists() else {}
  pool, fixed_test = of.read()
  generate = make_generator(run)
  trainer = functools.cache(Trainer)
  result = json.loads((run.workdir / "result.json").read_text("utf-8"))
  most = max(*EXAMPLES, *examples)
  # More examples than those of the question leave fewer test images.
  fewer = fixed_test is None and most > max(EXAMPLES)
  tested = f"; test without {most}" if fewer else ""

  def key_of(method: str, count: int, draw: int) -> str:
    made_by = result["fingerprint"] if METHODS[method][0] else "no generator"
    return f"{method}; {count}; {draw}; {steps}; {made_by}{tested}"

  for draw in range(draws):
    cells = itertools.product(METHODS, examples)
    if all(key_of(*cell, draw) in found for cell in cells):
      continue
    images, labels = dagan_data.draw_classes(
      pool, classes=of.classes, seed=draw
    )
    test = fixed_test or dagan_data.others(
      (images, labels), examples=most, seed=draw
    )
    # The examples of a smaller number are among those of the largest.
    all_rows = low_data.draw(labels, examples=max(examples), seed=draw)
    made = generate(images[all_rows], draw)
    made_labels = np.tile(labels[all_rows], PER_IMAGE)
    for count in examples:
      rows = low_data.draw(labels, examples=count, seed=draw)
      real = images[rows], labels[rows]
      own = np.tile(np.isin(all_rows, rows), PER_IMAGE)
      for method, (share, _) in METHODS.items():
        key = key_of(method, count, draw)
        if key not in found:
          found[key] = trainer(method, of.classes).accuracy(
            real,
            (made[own], made_labels[own]) if share else None,
            test,
            draw=draw,
            steps=steps,
          )
          files.write_json(path, found)
    print(f"draw {draw}: done", flush=True)
  return {
    method: {
      count: [found[key_of(method, count, i)] for i in range(draws)]
      for count in examples
    }
    for method in METHODS
  }


def compare(
  accuracies: Mapping[str, Mapping[int, Sequence[float]]],
) -> list[str]:
  """The rows of the tables, and the answers."""
  lines = []
  for without, with_dagan in COMPARED:
    rows = low_data.compare(accuracies[without], accuracies[with_dagan])
    corrected = significance.holm([each.p for each in rows])
    verdicts = [
      verdict(each.difference, p)
      for each, p in zip(rows, corrected, strict=True)
    ]
    lines += [
      f"| k | {without} | {with_dagan} | difference | p | corrected p | |",
      "|---|---:|---:|---:|---:|---:|---|",
    ]
    for each, p, text in zip(rows, corrected, verdicts, strict=True):
      lines.append(
        f"| {each.examples} "
        f"| {100 * each.first:.1f} ± {100 * each.first_spread:.1f} "
        f"| {100 * each.second:.1f} ± {100 * each.second_spread:.1f} "
        f"| {100 * each.difference:+.1f} | {each.p:.2g} | {p:.2g} | {text} |"
      )
    yes = verdicts.count("helps") >= LEAST and "hurts" not in verdicts
    lines.append(f"{with_dagan} against {without}: {'yes' if yes else 'no'}")
    lines.append("")
  return lines


def verdict(difference: float, corrected: float) -> str:
  """The verdict for one number of examples."""
  if corrected >= 0.05:
    return "no difference is shown"
  return "helps" if difference > 0 else "hurts"


def draw_figure(
  name: str,
  run: inference.TrainedRun,
  accuracies: Mapping[str, Mapping[int, Sequence[float]]],
  path: pathlib.Path,
) -> None:
  """Draws the accuracies, and images of the first new classes."""
  pool, _ = dagan_data.DATA[name].read()
  labels = range(min(_SHOWN, dagan_data.DATA[name].classes))
  images = np.stack([pool[0][pool[1] == label][0] for label in labels])
  made = make_generator(run)(images, 0).reshape(PER_IMAGE, *images.shape)
  dagan_figures.draw(accuracies, images, made, path)


def main(arguments: Sequence[str] | None = None) -> None:
  """Trains DAGAN and the classifiers, and prints the tables."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("--data", choices=dagan_data.DATA, default="mnist")
  parser.add_argument(
    "--workdir",
    type=pathlib.Path,
    help="runs/dagan, or runs/dagan_hangul for hangul",
  )
  parser.add_argument("--examples", type=int, nargs="+", default=list(EXAMPLES))
  parser.add_argument("--draws", type=int, default=DRAWS)
  parser.add_argument(
    "--steps", type=int, default=0, help="250 for mnist, 1000 for hangul"
  )
  parser.add_argument("--dagan_steps", type=int, default=3000)
  options = parser.parse_args(arguments)
  folder = "dagan" if options.data == "mnist" else f"dagan_{options.data}"
  workdir = options.workdir or pathlib.Path("runs", folder)
  duration = {"train.duration": f"{options.dagan_steps} steps"}
  run = train_dagan(options.data, workdir, duration)
  for classes, metrics in measure_dagan(options.data, run, workdir).items():
    values = ", ".join(f"{k} {v:.4g}" for k, v in metrics.items())
    print(f"{classes} classes: {values}")
  found = measure(
    options.data,
    run,
    workdir,
    examples=options.examples,
    draws=options.draws,
    steps=options.steps,
  )
  print("\n".join(compare(found)))
  draw_figure(options.data, run, found, workdir / "dagan.png")
  print(f"picture: {(workdir / 'dagan.png').absolute()}")


if __name__ == "__main__":
  main()
