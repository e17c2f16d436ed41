"""The study of MNIST: its verdicts, and a short run on few digits."""

import experiment_scripts
import preparations
import published_archives
import pytest


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("mnist.py")


@pytest.mark.parametrize(
  ("errors", "bound", "verdict"),
  # Two standard errors of 10,000 images are 0.14 points at an error of 0.5 %.
  [
    ([0.4, 0.6], 0.5, "reached"),
    ([0.62, 0.64], 0.5, "reached"),
    ([0.66, 0.70], 0.5, "not reached"),
    ([3.75], 3.3, "not reached"),
  ],
)
def test_verdict_allows_for_the_chance_of_the_test_images(
  study, errors, bound, verdict
):
  mean = sum(errors) / len(errors)
  cells = study.row("convnet", errors, bound, "aim").split("|")
  assert [each.strip() for each in cells[1:4]] == [
    "convnet",
    "aim",
    f"{mean:.2f}",
  ]
  assert cells[5].strip() == verdict


@pytest.mark.slow
def test_methods_are_measured(study, tmp_path, monkeypatch, capsys):
  source = tmp_path / "source"
  source.mkdir()
  published_archives.idx(source)
  preparations.prepare("mnist", source, tmp_path / "tfds")
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
  monkeypatch.setattr(study, "SEEDS", (0, 1))
  monkeypatch.setattr(study, "PIXELS", {"pixels/knn(k=1)": (5.0, "LeCun")})
  short = {"data.train": "train", "data.validation": "", "data.test": "test"}
  short |= {"train.duration": "2 steps", "train.batch_size": 8}
  short |= {"checkpoint.best": "", "evaluate.batch_size": 8}
  real = study.jaxvision.train
  monkeypatch.setattr(
    study.jaxvision,
    "train",
    lambda recipe, *, workdir, overrides: real(
      recipe, workdir=workdir, overrides={**overrides, **short}
    ),
  )
  for _ in range(2):  # the second time, results are read again
    study.main(["linear", "pixels", "--workdir", str(tmp_path / "runs")])
  lines = capsys.readouterr().out.splitlines()
  table = [line for line in lines if line.startswith("| ")]
  assert len(table) == 6 and table[:3] == table[3:]
