"""A bag of visual words against a convolutional network.

  python experiments/papers/visual_words.py

For 100 and 1,000 digits of MNIST and five disjoint samples of each size, three
methods are fitted: logistic regression on the pixels, logistic regression on
histograms of 256 visual words (patches of 6x6 pixels, k-means, four cells), and
the convolutional network of configs/mnist.py, trained for 1,000 steps of 50
images. The first two are probes of jaxvision with their default strength.

How to read the answer: test accuracies on 10,000 digits, paired over the
samples, corrected by Holm over all. The claim has two parts: (a) visual words
are better than pixels, and (b) the network is better than visual words, both at
both sizes. It "holds" if both are true, and "holds in part" if one is.
"""

import itertools
import pathlib
import tempfile
from typing import Any

import arms
import claims
import numpy as np
import small_mnist

import jaxvision
from jaxvision.evaluation.probes import probe

CLAIM = claims.Claim(
  sentence="Histograms of visual words are better features than pixels, and a "
  "convolutional network that learns its features is better than both.",
  source="CS231n, Image features; Csurka et al. 2004, Visual categorization "
  "with bags of keypoints",
  published="",
  data="MNIST, 100 and 1,000 digits for training",
  untested="Photographs, for which visual words were made (SIFT).",
)
SIZES, METHODS, _SAMPLES = (100, 1000), ("pixels", "words", "network"), 5
_RECIPE = small_mnist.BASE.replace(":mlp", ":convnet")
_TRAINING = {
  "data.validation": "train[55000:57000]",
  "data.num_classes": 10,
  "loss.options": {},
  "ema.decay": 0.0,
  "train.batch_size": 50,
  "train.duration": "1000 steps",
  "evaluate.every": "100 percent",
  "evaluate.explain": "",
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.tensorboard": False,
}


def accuracies(
  size: int, sample: int, workdir: pathlib.Path, *, steps: int
) -> dict[str, float]:
  """Returns {method: test accuracy in percent} for one sample of digits."""
  last = size * (sample + 1)
  images, labels = small_mnist.digits("train", last)
  tests, test_labels = small_mnist.digits("test", 10_000)
  train, test = (
    ((x / 255.0).astype(np.float32), y)
    for x, y in ((images[-size:], labels[-size:]), (tests, test_labels))
  )
  found = {
    name: probe.PROBES[kind]()(train, test, 10, None)["top1"]
    for name, kind in (("pixels", "logistic"), ("words", "visual_words"))
  }
  result = jaxvision.train(
    _RECIPE,
    workdir=workdir / f"{size}-{sample}",
    overrides={
      **_TRAINING,
      "data.train": f"train[{last - size}:{last}]",
      "train.duration": f"{steps} steps",
      "seed": sample,
    },
  )
  found["network"] = result["final"]["metrics"]["top1"]
  return {name: 100 * float(value) for name, value in found.items()}


def measure(quick: bool) -> claims.Finding:
  """Fits all methods to all samples."""
  samples, steps = (2, 2) if quick else (_SAMPLES, 1000)
  with tempfile.TemporaryDirectory() as folder:
    rows = {
      size: [
        accuracies(size, sample, pathlib.Path(folder), steps=steps)
        for sample in range(samples)
      ]
      for size in SIZES
    }
  test = {
    (size, name): [row[name] for row in each]
    for size, each in rows.items()
    for name in METHODS
  }
  found = arms.compare(
    {
      (size, better): (test[size, better], test[size, worse])
      for size in SIZES
      for worse, better in itertools.pairwise(METHODS)
    }
  )
  parts = [
    all(found[size, better].is_positive for size in SIZES)
    for better in METHODS[1:]
  ]
  return claims.Finding(
    ours="; ".join(
      f"{size:,} digits: "
      + ", ".join(
        f"{name} {np.mean(test[size, name]):.1f} %" for name in METHODS
      )
      for size in SIZES
    ),
    verdict=claims.verdict(parts),
    seeds=samples,
    figure=_draw(test),
  )


def _draw(test: dict[tuple[int, str], list[float]]) -> Any:
  made, (axes,) = claims.figure()
  for name in METHODS:
    samples = [test[size, name] for size in SIZES]
    claims.draw_means(axes, SIZES, samples, fmt="o-", label=name)
  axes.set(xscale="log", xlabel="digits", ylabel="test accuracy, %")
  axes.legend(fontsize=7)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
