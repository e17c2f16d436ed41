"""`jaxvision data` as a user types it."""

import numpy as np
import processes
import pytest
from PIL import Image

from jaxvision import cli


@pytest.fixture(scope="module")
def data_dir():
  return processes.prepared_digits()


def test_data_prepare_then_list(tmp_path, data_dir, capsys):
  words = ["data", "list", "--data_dir", str(tmp_path)]
  assert cli.main(words) == 0
  empty = capsys.readouterr().out
  assert f"jaxvision data prepare digits --data_dir={tmp_path}" in empty
  prepare = ["data", "prepare", "digits", "--data_dir", str(tmp_path)]
  assert cli.main(prepare) == 0
  made = tmp_path / "digits" / "1.0.0"
  assert capsys.readouterr().out == f"prepared: {made}\n"
  assert cli.main(words) == 0
  listed = capsys.readouterr().out
  assert "train 1,257, validation 180, test 360" in listed


def test_data_inspect_counts_and_draws(data_dir, tmp_path, capsys):
  sheet = tmp_path / "sheet.png"
  words = ["data", "inspect", "digits", "--data_dir", data_dir]
  assert cli.main([*words, "--split", "test", "--sheet", str(sheet)]) == 0
  printed = capsys.readouterr().out
  assert "test: 360 images, 8x8 (256)" in printed
  counts = [line.split() for line in printed.splitlines() if line[0] == " "]
  assert sum(int(count) for count, _ in counts) == 360
  assert [name for _, name in counts] == list("0123456789")
  assert np.ptp(np.asarray(Image.open(sheet))) > 0


def test_data_that_are_not_there(tmp_path, capsys):
  words = ["data", "inspect", "digits", "--data_dir", str(tmp_path)]
  assert cli.main(words) == 2
  error = capsys.readouterr().err
  assert f"{tmp_path}/digits/VERSION/dataset_info.json" in error
  assert f"jaxvision data prepare digits --data_dir={tmp_path}" in error
