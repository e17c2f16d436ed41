"""Run folders as written by a training, created without JAX.

The model is a softmax regression in NumPy on scikit-learn's digits, so the
numbers in a folder are those of a real classifier and agree with each other.
"""

import json
import pathlib

import numpy as np
from sklearn import datasets, decomposition, metrics, model_selection

CONFIG = {
  "seed": 0,
  "model": {"name": "linear", "options": {}},
  "data": {
    "kind": "tfds",
    "name": "digits",
    "train": "train",
    "validation": "validation",
    "test": "test",
    "train_transforms": ["random_crop(padding=1)"],
    "mean": [0.5],
    "std": [0.5],
    "data_dir": None,
  },
  "optimizer": {
    "name": "sgd",
    "options": {"momentum": 0.9},
    "learning_rate": 0.05,
    "weight_decay_rules": [[".*kernel", 1.0], [".*", 0.0]],
  },
  "schedule": {"name": "cosine", "warmup": "5 %"},
  "train": {"duration": "12 epochs", "batch_size": 128},
}

BATCH = 128


def write_run(
  workdir: pathlib.Path,
  *,
  seed: int = 0,
  learning_rate: float = 0.05,
  epochs: int = 4,
  names: tuple[str, ...] = tuple("0123456789"),
) -> pathlib.Path:
  """Trains a small classifier and writes its complete run folder."""
  workdir.mkdir(parents=True)
  config = json.loads(json.dumps(CONFIG))
  config["seed"] = seed
  config["optimizer"]["learning_rate"] = learning_rate
  overrides = {"seed": seed, "optimizer.learning_rate": learning_rate}
  write_json(
    workdir / "config.json",
    {
      "recipe": "configs/digits.py:linear",
      "overrides": overrides,
      "config": config,
    },
  )
  splits = _splits()
  weights, lines = _train(splits, seed, learning_rate, epochs)
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (workdir / "metrics.jsonl").write_text(text)
  write_json(workdir / "environment.json", _environment(lines[-1]["step"]))
  _write_results(workdir, weights, splits["test"], lines, names)
  return workdir


def write_json(path: pathlib.Path, value: object) -> None:
  path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _splits() -> dict:
  digits = datasets.load_digits()
  images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
  train, test, train_labels, test_labels = model_selection.train_test_split(
    images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
  )
  return {
    "train": (train[180:], train_labels[180:]),
    "validation": (train[:180], train_labels[:180]),
    "test": (test, test_labels),
  }


def _probabilities(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
  logits = _inputs(images) @ weights
  logits = np.exp(logits - logits.max(axis=1, keepdims=True))
  return logits / logits.sum(axis=1, keepdims=True)


def _inputs(images: np.ndarray) -> np.ndarray:
  return images.reshape(len(images), -1) / 127.5 - 1


def _metrics(weights: np.ndarray, split: tuple) -> dict[str, float]:
  images, labels = split
  shares = _probabilities(weights, images)
  true = shares[np.arange(len(labels)), labels]
  order = np.argsort(-shares, axis=1)
  return {
    "loss": float(-np.log(true).mean()),
    "top1": float((order[:, 0] == labels).mean()),
    "top5": float((order[:, :5] == labels[:, None]).any(axis=1).mean()),
  }


def _train(
  splits: dict, seed: int, learning_rate: float, epochs: int
) -> tuple[np.ndarray, list[dict]]:
  rng = np.random.default_rng(seed)
  images, labels = splits["train"]
  weights, average = np.zeros((64, 10)), np.zeros((64, 10))
  lines = []
  per_epoch = len(images) / BATCH
  total = int(epochs * per_epoch)
  for step in range(1, total + 1):
    chosen = rng.integers(0, len(images), BATCH)
    batch = images[chosen], labels[chosen]
    error = _probabilities(weights, batch[0]) - np.eye(10)[batch[1]]
    gradient = _inputs(batch[0]).T @ error / BATCH
    rate = learning_rate * 0.5 * (1 + np.cos(np.pi * step / total))
    if step % 2 == 0:
      measured = _metrics(weights, batch)
      lines.append(
        {
          "step": step,
          "epoch": step / per_epoch,
          "train/loss": measured["loss"],
          "train/top1": measured["top1"],
          "learning_rate": rate,
          "gradient_norm": float(np.linalg.norm(gradient)),
          "images_per_second": 41000.0,
          "seconds": 0.01 * step,
        }
      )
    weights = weights - rate * gradient
    average = 0.9 * average + 0.1 * weights
    if step % int(per_epoch) == 0 or step == total:
      lines.append(
        {"step": step}
        | _prefixed("validation/", _metrics(weights, splits["validation"]))
        | _prefixed("validation_ema/", _metrics(average, splits["validation"]))
      )
  return weights, lines


def _prefixed(prefix: str, measured: dict[str, float]) -> dict[str, float]:
  return {prefix + name: value for name, value in measured.items()}


def _environment(last_step: int) -> list[dict]:
  first = {
    "started": "2026-03-02T09:14:07+00:00",
    "step": 0,
    "command": "jaxvision train --config configs/digits.py:linear "
    "--workdir runs/linear --config.seed=0",
    "python": "3.11.9",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "flax": "0.12.8",
    "optax": "0.2.8",
    "numpy": "2.4.6",
    "jaxvision": "0.1.0",
    "commit": "4f1c2ab",
    "devices": "1 x cpu",
    "hostname": "laptop",
    "platform": "cpu",
  }
  again = {
    **first,
    "started": "2026-03-02T09:21:40+00:00",
    "step": last_step // 2,
  }
  return [first, again]


def _f1_macro(labels: np.ndarray, predictions: np.ndarray) -> float:
  return float(metrics.f1_score(labels, predictions, average="macro"))


def _write_results(
  workdir: pathlib.Path,
  weights: np.ndarray,
  test: tuple,
  lines: list[dict],
  names: tuple[str, ...],
) -> None:
  images, labels = test
  shares = _probabilities(weights, images)
  predictions = shares.argmax(axis=1)
  confusion = np.zeros((10, 10), np.int64)
  np.add.at(confusion, (labels, predictions), 1)
  wrong = np.flatnonzero(predictions != labels)
  wrong = wrong[np.argsort(-shares.max(axis=1)[wrong])][:24]
  np.savez(
    workdir / "evaluation.npz",
    confusion=confusion,
    mistake_images=images[wrong],
    mistake_labels=labels[wrong],
    mistake_predictions=predictions[wrong],
    mistake_confidences=shares.max(axis=1)[wrong].astype(np.float32),
    mistake_ids=np.array([f"test/{index}" for index in wrong]),
  )
  _write_predictions(workdir, shares, test)
  np.savez(
    workdir / "first_layer.npz",
    name="linear/kernel",
    filters=weights.T.reshape(10, 8, 8, 1).astype(np.float32),
  )
  step = lines[-1]["step"]
  best = max(
    (line for line in lines if "validation/top1" in line),
    key=lambda line: line["validation/top1"],
  )
  write_json(
    workdir / "result.json",
    {
      "status": "finished",
      "step": step,
      "total_steps": step,
      "seconds": 12.5,
      "parameters": 650,
      "flops_per_image": 1280,
      "memory_bytes": 1234567,
      "class_names": list(names),
      "best": {
        "step": best["step"],
        "metric": "validation/top1",
        "value": best["validation/top1"],
      },
      "final": {
        "split": "test",
        "metrics": _metrics(weights, test)
        | {
          "f1_macro": _f1_macro(labels, predictions),
          "calibration_error": 0.031,
        },
      },
      "fingerprint": "0123abcd",
      "checkpoint": f"checkpoints/{step}",
    },
  )


def _write_predictions(
  workdir: pathlib.Path, shares: np.ndarray, test: tuple
) -> None:
  """All examples are in the sample; a third of them for each reason."""
  images, labels = test
  count = len(labels)
  places = decomposition.PCA(2).fit(np.log(shares))
  np.savez(
    workdir / "predictions.npz",
    positions=np.arange(count),
    labels=labels,
    probabilities=shares.astype(np.float32),
    losses=-np.log(shares[np.arange(count), labels]).astype(np.float32),
    sample=np.arange(count),
    sample_reasons=np.arange(count) * 3 // count,
    sample_images=images,
    sample_ids=np.array([f"test/{index}" for index in range(count)]),
    embedding=places.transform(np.log(shares)).astype(np.float32),
    embedding_shares=places.explained_variance_ratio_.astype(np.float32),
  )
