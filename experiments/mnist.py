"""What error do classical methods and networks reach on MNIST?

  jaxvision data prepare mnist --source=package/data   # see docs/data.md
  python experiments/mnist.py linear mlp               # trains, 5 seeds each
  python experiments/mnist.py pixels                   # kNN, LDA, QDA
  python experiments/mnist.py --workdir runs/mnist     # prints the table

Networks are those of configs/mnist.py, evaluated with the moving average of
their parameters. Their errors are means over five seeds with the standard
deviation over seeds. The seed changes the initial parameters, the order of the
examples, dropout and the shifts of the images. kNN, LDA and QDA see the pixels
of all 60,000 training images and have no seed.

How to read the answer: the published value stands beside ours. The standard
error of 10,000 test images, sqrt(p (1 - p) / 10,000), is 0.07 points at an
error of 0.5 % and 0.3 points at 10 %. A verdict "reached" means that our mean
error is at most the published value, or the aim of the project where one is
stated, plus twice this standard error. The rule was written down before the
runs.
"""

import argparse
import json
import math
import pathlib
import statistics
from collections.abc import Sequence

import jaxvision
from jaxvision import files

QUESTION = "What error do classical methods and networks reach on MNIST?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "mnist.py")
SEEDS = (0, 1, 2, 3, 4)
TEST_IMAGES = 10_000
# name -> (bound of the error in percent, source)
NETWORKS = {
  "linear": (12.0, "LeCun et al. 1998: 12.0 %"),
  "mlp": (1.6, "Simard et al. 2003: 1.6 %, 800 units"),
  "maxout": (1.1, "Goodfellow et al. 2013: 0.94 %; aim: 1.1 %"),
  "convnet": (0.5, "aim: 0.5 %"),
}
# probe -> (bound of the error in percent, source)
PIXELS = {
  "pixels/knn(k=3, distance='euclidean', temperature=None)": (
    3.09,
    "Wilder, on LeCun's page: 3.09 %, L2; LeCun et al. 1998: 5.0 %",
  ),
  "pixels/lda(components=40)": (12.0, "LeCun et al. 1998: 12.0 %, linear"),
  "pixels/qda(components=40, shrinkage=0.0)": (
    3.3,
    "LeCun et al. 1998: 3.3 %, 40 components and a quadratic classifier",
  ),
}


def train(model: str, workdir: pathlib.Path) -> list[float]:
  """Trains one run per seed in WORKDIR/MODEL/seed-N.

  Returns:
    The errors on the test split, in percent. Finished runs are read again.
  """
  errors = []
  for seed in SEEDS:
    result = jaxvision.train(
      f"{BASE}:{model}",
      workdir=workdir / model / f"seed-{seed}",
      overrides={"seed": seed},
    )
    errors.append(100 * (1 - result["final"]["metrics"]["top1"]))
  return errors


def probe_pixels(workdir: pathlib.Path) -> dict[str, float]:
  """Returns the errors of the methods on pixels, in percent."""
  path = workdir / "pixels.json"
  if path.exists():
    return json.loads(path.read_text("utf-8"))
  found = _measured()
  workdir.mkdir(parents=True, exist_ok=True)
  files.write_json(path, found)
  return found


def _measured() -> dict[str, float]:
  from jaxvision import data, models, parallel, variables
  from jaxvision.configs import default
  from jaxvision.evaluation import probes
  from jaxvision.training import setup

  config = default.get_config()
  config.data.name, config.data.channels = "mnist", 1
  config.evaluate.batch_size = 512
  source = setup.make_source(config)
  train_split, test_split = (
    setup.make_batches(config, data.open_dataset(source, split), train=False)
    for split in ("train", "test")
  )
  model = models.create("linear", num_classes=10)
  measure = probes.make_evaluator(
    tuple(PIXELS),
    model,
    train_split,
    test_split,
    num_classes=10,
    normalization=data.Normalization((0.0,), (1.0,)),
    mesh=parallel.make_mesh(),
  )
  found = measure(variables.draw(model, image_shape=(28, 28, 1)))
  return {name: 100 * (1 - each["top1"]) for name, each in found.items()}


def row(name: str, errors: Sequence[float], bound: float, source: str) -> str:
  """Returns a row of the table, with the verdict."""
  mean = statistics.mean(errors)
  spread = f"{statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
  share = mean / 100
  error = 100 * math.sqrt(share * (1 - share) / TEST_IMAGES)
  verdict = "reached" if mean <= bound + 2 * error else "not reached"
  return f"| {name} | {source} | {mean:.2f} | {spread} | {verdict} |"


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the methods of the command line and prints the table."""
  parser = argparse.ArgumentParser(description=QUESTION)
  methods = (*NETWORKS, "pixels")
  parser.add_argument("methods", nargs="*", choices=(*methods, []))
  parser.add_argument(
    "--workdir", type=pathlib.Path, default=pathlib.Path("runs", "mnist")
  )
  options = parser.parse_args(arguments)
  rows = []
  for name in options.methods or methods:
    if name in NETWORKS:
      rows.append(row(name, train(name, options.workdir), *NETWORKS[name]))
    else:
      found = probe_pixels(options.workdir)
      rows += [row(each, [found[each]], *PIXELS[each]) for each in PIXELS]
  print("| method | published | error, % | std over seeds | verdict |")
  print("|---|---|---:|---:|---|")
  print("\n".join(rows))


if __name__ == "__main__":
  main()
