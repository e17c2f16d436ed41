"""Runs of a captioner: learning, resuming, reports, commands and errors."""

import json
import shutil

import captioned_squares
import jax
import numpy as np
import pytest
from PIL import Image

from jaxvision import (
  cli,
  inference,
  parallel,
  sweeps,
  training,
  trees,
  weights,
)
from jaxvision.evaluation import captions as scoring
from jaxvision.metrics import text
from jaxvision.runs import pages
from jaxvision.sweeps import vectorized
from jaxvision.tasks.captioning import measures
from jaxvision.training.loop import train_loop

pytestmark = pytest.mark.slow

# A Vision Transformer of 16 patches.
VIT = {
  "model__name": "vit_ti16",
  "model__options": {
    "patch_size": 4,
    "width": 16,
    "depth": 1,
    "mlp_dim": 32,
    "num_heads": 2,
    "pool": "mean",
  },
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
  folder = tmp_path_factory.mktemp("squares")
  return captioned_squares.write(folder / "data.npz")


@pytest.fixture(scope="module")
def trained(path):
  """The folder of a run that has learned the captions."""
  workdir = path.parent / "trained"
  captioned_squares.train(
    path,
    workdir,
    train__duration="240 steps",
    train__steps_per_dispatch=8,
    evaluate__every="240 steps",
    checkpoint__every="240 steps",
    task__options__captions=1,
    **VIT,
  )
  return workdir


def _test_split(path):
  return captioned_squares.prepare(path).splits["test"]


def _truth(path):
  split = _test_split(path)
  texts = split.fields()["caption"].read(list(range(split.num_examples)))
  return [each.split("\n") for each in texts]


def _image(path, folder):
  """The file of the first image of the test split, and its pixels."""
  ((image, _),) = _test_split(path).read([0])
  Image.fromarray(image[..., 0]).save(folder / "square.png")
  return str(folder / "square.png"), image


def test_it_learns_captions_and_its_metrics_are_those_of_the_texts(
  trained, path, tmp_path
):
  metrics = json.loads((trained / "result.json").read_text())["final"][
    "metrics"
  ]
  assert metrics["exact_match"] > 0.8
  with np.load(trained / "evaluation.npz") as arrays:
    captions = arrays["captions"].tolist()
    ids = arrays["ids"].tolist()
  assert ids == _test_split(path).ids(list(range(21)))
  scores = text.caption_scores(captions, _truth(path))
  assert {name: metrics[name] for name in scores} == pytest.approx(scores)
  # Also as files for `jaxvision score`.
  for name, texts in (("own", captions), ("truth", _truth(path))):
    content = json.dumps(dict(zip(ids, texts, strict=True)))
    (tmp_path / name).with_suffix(".json").write_text(content)
  found = scoring.score(tmp_path / "own.json", [tmp_path / "truth.json"])
  assert found.values["cider"] == pytest.approx(metrics["cider"])
  exact = [*map(measures.is_exact, captions, _truth(path))]
  assert metrics["exact_match"] == pytest.approx(np.mean(exact))


def test_an_evaluation_of_the_run_needs_no_training_data(trained, capsys):
  result = json.loads((trained / "result.json").read_text())
  run = inference.load_run(trained)
  found = inference.evaluate(run).metrics
  assert found == pytest.approx(result["final"]["metrics"], rel=1e-5)
  assert cli.main(["evaluate", "--workdir", str(trained), "--json"]) == 0
  assert json.loads(capsys.readouterr().out)["cider"] == found["cider"]


def test_predict_prints_a_caption_with_its_probability(
  trained, path, tmp_path, capsys
):
  image, _ = _image(path, tmp_path)
  run = inference.load_run(trained)
  ((best,),) = (each["top"] for each in inference.predict(run, [image]))
  with np.load(trained / "evaluation.npz") as arrays:
    assert best["caption"] == arrays["captions"][0]
  assert 0 < best["probability"] <= 1
  command = ["predict", "--workdir", str(trained), image]
  assert cli.main(command) == 0
  assert best["caption"] in capsys.readouterr().out
  broken = str(tmp_path / "none.png")
  rows = {
    "--csv-wide": (
      "image,caption,probability,error",
      "{caption},{probability},",
    ),
    "--csv": (
      "image,rank,caption,probability,error",
      "1,{caption},{probability},",
    ),
  }
  for form, (first, row) in rows.items():
    assert cli.main([*command, broken, form]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [first, f"{image},{row.format(**best)}"]
    assert lines[2].startswith(f"{broken},,")
  (blank,) = inference.blank(run)["top"]
  assert list(blank) == list(best)
  assert cli.main([*command, "--probabilities"]) == 2
  assert "give --labels FILE" in capsys.readouterr().err
  assert cli.main([*command, "--top", "3"]) == 2
  assert "--top 3 is a number of classes" in capsys.readouterr().err


def test_labels_are_ranked_by_the_probability_of_their_words(
  trained, path, tmp_path, capsys
):
  """The probability of the whole text, not divided by its length."""
  labels = ("a small square right", "a large square bottom", "a square", "left")
  image, pixels = _image(path, tmp_path)
  run = inference.load_run(trained)
  (found,) = inference.predict(run, [image], labels=labels, top=9)
  variables = jax.device_get(run.variables)
  expected = {}
  for label in labels:
    numbers = run.task.encode["caption"](label)
    batch = {
      "image": pixels[None],
      "label": np.zeros(1, np.int32),
      "mask": np.ones(1, np.float32),
      "caption": numbers[None],
      "caption/text": run.task.encode["caption/text"](label)[None],
    }
    sums, _ = jax.jit(run.task.evaluate)(variables, batch)
    expected[label] = -float(sums["nll"])
  assert [each["class"] for each in found["top"]] == sorted(
    labels, key=lambda label: -expected[label]
  )
  for each in found["top"]:
    assert each["log_probability"] == pytest.approx(
      expected[each["class"]], rel=1e-4
    )
  shares = [each["probability"] for each in found["top"]]
  assert sum(shares) == pytest.approx(1)
  (tmp_path / "labels.txt").write_text("\n".join(labels))
  command = ["predict", "--workdir", str(trained), image, "--labels"]
  assert cli.main([*command, str(tmp_path / "labels.txt")]) == 0
  assert f"{shares[0]:.2%}" in capsys.readouterr().out
  every = {each["class"]: each for each in found["top"]}
  (all_of_them,) = inference.predict(run, [image], labels=labels, top=None)
  assert all_of_them["probabilities"] == [every[label] for label in labels]


def test_the_report_has_pictures_captions_references_and_attention(trained):
  found = pages.read(trained)
  sample, attended = found
  assert sample.title == "Captions" and len(sample.images) == 21
  assert "reference: " in sample.captions[0] and "✓" in "".join(sample.captions)
  assert attended.title == "Attention" and len(attended.rows) == 6
  assert attended.images.shape == (sum(attended.rows), 96, 96, 3)
  starts = np.cumsum([0, *attended.rows[:-1]])
  for start, count in zip(starts, attended.rows, strict=True):
    # The picture, and a heat map for each word and the end.
    caption = attended.captions[start].removeprefix("caption: ")
    assert count == len(caption.split()) + 2


@pytest.fixture(scope="module")
def short(path):
  """The folder of a run of a few steps."""
  captioned_squares.train(path, path.parent / "short")
  return path.parent / "short"


def test_a_run_keeps_its_vocabulary_and_a_lost_one_is_named(short, tmp_path):
  run = inference.load_run(short)
  assert "square" in run.task.kept["vocabulary.json"].decode()
  found = inference.evaluate(run).metrics
  result = json.loads((short / "result.json").read_text())
  assert found == pytest.approx(result["final"]["metrics"], rel=1e-5)
  shutil.copytree(short, tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "task")
  with pytest.raises(ValueError, match=r"no vocabulary: its folder task/ is"):
    inference.load_run(tmp_path / "run")


def test_other_captioned_data_need_no_labels_or_the_same_classes(
  path, tmp_path, capsys
):
  """The run's own test split, in files with other classes and without."""
  with np.load(path) as arrays:
    kept = {name: array for name, array in arrays.items() if "test" in name}
  other = {**kept, "class_names": np.asarray(["a", "b", "c", "d"])}
  np.savez(tmp_path / "other.npz", **other)
  for labels in ("classes", "none"):
    run = tmp_path / labels
    own = captioned_squares.train(path, run, data__labels=labels)
    capsys.readouterr()
    words = ["evaluate", "--workdir", str(run), "--json"]
    assert cli.main([*words, "--data", str(tmp_path / "other.npz")]) == 0
    found = json.loads(capsys.readouterr().out)
    for name, value in own["final"]["metrics"].items():
      assert found[name] == pytest.approx(value, rel=1e-5)


def test_generated_images_are_compared_in_features_of_the_encoder(
  short, path, capsys
):
  words = ["distance", "--workdir", str(short), "--json"]
  assert cli.main([*words, "--data", str(path), "--generated", str(path)]) == 0
  assert json.loads(capsys.readouterr().out)["frechet_distance"] > 0


def test_its_encoder_is_the_start_of_a_classifier(short):
  _, variables = weights.load(short, "mlp", num_classes=7)
  own = inference.load_run(short).model_variables
  found, expected = (trees.flatten(each) for each in (variables, own))
  assert found.keys() == expected.keys()
  for name, each in found.items():
    if name.startswith("params/head/"):
      assert each.shape[-1] == 7 and not np.any(each)
    else:
      np.testing.assert_array_equal(each, expected[name], err_msg=name)


def test_export_is_refused(short, tmp_path, capsys):
  target = str(tmp_path / "model.jax")
  assert cli.main(["export", target, "--workdir", str(short)]) != 0
  assert "captioning, which has no exported form" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_vocabulary_and_is_a_whole_one(path, tmp_path):
  options = {
    "schedule__name": "constant",
    "task__options__dropout": 0.3,
    "task__options__masked_share": 0.5,
    "task__options__captions": 2,
    "evaluate__every": "6 steps",
    **VIT,
  }

  def train(folder, **more):
    return captioned_squares.train(path, tmp_path / folder, **options, **more)

  whole = train("whole", train__duration="12 steps")
  train("parts", train__duration="6 steps")
  kept = tmp_path / "parts" / "task" / "vocabulary.json"
  before = kept.stat().st_mtime_ns
  resumed = training.train(workdir=tmp_path / "parts", extend="12 steps")
  assert resumed["fingerprint"] == whole["fingerprint"]
  assert resumed["final"] == whole["final"]
  assert kept.stat().st_mtime_ns == before


def test_one_device_is_eight_devices(path, tmp_path, monkeypatch):
  options = {
    "train__duration": "12 steps",
    "task__options__dropout": 0.3,
    **VIT,
  }
  options["task__options__masked_share"] = 0.5
  eight = captioned_squares.train(path, tmp_path / "eight", **options)
  mesh = parallel.make_mesh(jax.devices()[:1])
  monkeypatch.setattr(parallel, "make_mesh", lambda *_, **sizes: mesh)
  one = captioned_squares.train(path, tmp_path / "one", **options)
  assert one["final"]["metrics"] == pytest.approx(
    eight["final"]["metrics"], rel=1e-4
  )
  with (
    np.load(tmp_path / "one" / "evaluation.npz") as a,
    np.load(tmp_path / "eight" / "evaluation.npz") as b,
  ):
    assert a["captions"].tolist() == b["captions"].tolist()


def test_a_diverged_run_stops(path, tmp_path):
  with pytest.raises(train_loop.Diverged):
    captioned_squares.train(
      path,
      tmp_path / "run",
      optimizer__name="sgd",
      optimizer__learning_rate=1e30,
      train__duration="40 steps",
    )


def test_trials_together_are_as_alone(path, tmp_path):
  recipe, base = captioned_squares.recipe(path)
  base |= {"train.duration": "8 steps", "evaluate.every": "4 steps"}
  overrides = [
    {**base, "seed": seed, "optimizer.learning_rate": rate}
    for seed, rate in ((0, 0.01), (5, 0.003))
  ]
  workdirs = [tmp_path / str(i) for i in range(2)]
  outcomes = vectorized.run_together(
    recipe, workdirs=workdirs, overrides=overrides, watch=lambda told: {}
  )
  assert outcomes == [sweeps.Outcome("complete")] * 2
  for workdir, each in zip(workdirs, overrides, strict=True):
    alone = training.train(
      recipe, workdir=tmp_path / f"{workdir.name}-alone", overrides=each
    )
    found = json.loads((workdir / "result.json").read_text())
    assert found["final"]["metrics"] == pytest.approx(
      alone["final"]["metrics"], rel=1e-3
    )
    assert inference.load_run(workdir).task.kept


def test_a_frozen_encoder_keeps_the_weights_of_its_file(path, tmp_path, caplog):
  """A classifier of the places is the encoder of the captions."""
  caplog.set_level("INFO")
  classifier = tmp_path / "classifier"
  captioned_squares.train(
    path, classifier, task__name="classification", task__options={}, **VIT
  )
  captioned_squares.train(
    path,
    tmp_path / "run",
    model__weights=str(classifier),
    optimizer__learning_rate_rules=(("encoder/.*", None), (".*", 1.0)),
    ema__decay=0.5,
    **VIT,
  )
  assert f"the encoder starts from {classifier}" in caplog.text
  run = inference.load_run(tmp_path / "run")
  found = trees.flatten(jax.device_get(run.model_variables))
  source = inference.load_run(classifier).variables
  expected = trees.flatten(jax.device_get(source))
  assert found.keys() == expected.keys()
  for name, each in found.items():
    if "head/" not in name:
      np.testing.assert_array_equal(each, expected[name], err_msg=name)


def test_probes_measure_the_encoder_during_the_training(path, tmp_path):
  result = captioned_squares.train(
    path, tmp_path / "run", evaluate__probes=("knn(k=3)",), **VIT
  )
  assert result["status"] == "finished"
  lines = (tmp_path / "run" / "metrics.jsonl").read_text()
  assert "validation/knn(k=3)/top1" in lines
