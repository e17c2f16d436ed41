import socket
import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from jaxvision import data


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


@pytest.fixture
def no_network(monkeypatch):
  def refuse(*arguments, **options):
    raise AssertionError("the network was touched")

  for name in ("connect", "connect_ex", "sendto"):
    monkeypatch.setattr(socket.socket, name, refuse)
  monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  directory = tmp_path_factory.mktemp("prepared")
  data.prepare("digits", data_dir=directory)
  return directory


def test_digits_are_scikit_learns_and_stratified(data_dir, no_network):
  original = sklearn_datasets.load_digits()
  expected = {
    (image.tobytes(), int(label))
    for image, label in zip(
      np.rint(original.images * 255 / 16).astype(np.uint8),
      original.target,
      strict=True,
    )
  }
  found, sizes = [], []
  for split in ("train", "validation", "test"):
    dataset = data.open_dataset(
      config("tfds", "digits", data_dir=data_dir), split
    )
    assert dataset.class_names == tuple("0123456789")
    share = dataset.num_examples / 1797
    counts = np.bincount(dataset.labels(), minlength=10)
    np.testing.assert_allclose(
      counts, share * np.bincount(original.target), atol=1.01
    )
    for encoded, label in dataset.read(range(dataset.num_examples)):
      image = data.decode(encoded, channels=1)
      assert image.shape == (8, 8, 1)
      found.append((image.tobytes(), label))
    sizes.append(dataset.num_examples)
  assert sizes == [1257, 180, 360]
  assert len(found) == 1797 and set(found) == expected


def test_preparing_touches_no_network_and_leaves_nothing_else(
  tmp_path, no_network
):
  path = data.prepare("digits", data_dir=tmp_path)
  assert path == tmp_path / "digits" / "1.0.0"
  assert list(tmp_path.iterdir()) == [tmp_path / "digits"]
  before = {each: each.stat().st_mtime_ns for each in path.iterdir()}
  assert data.prepare("digits", data_dir=tmp_path) == path
  assert before == {each: each.stat().st_mtime_ns for each in path.iterdir()}


def test_preparing_that_fails_leaves_nothing(tmp_path, monkeypatch):
  def fail(self, images, labels, rows):
    raise KeyboardInterrupt

  from jaxvision.data.preparation import digits

  monkeypatch.setattr(digits.Digits, "_generate_examples", fail)
  with pytest.raises(KeyboardInterrupt):
    data.prepare("digits", data_dir=tmp_path)
  assert [p.name for p in tmp_path.rglob("*")] == ["digits"]


@pytest.mark.slow
def test_two_processes_may_prepare_at_once(tmp_path):
  program = "import sys; from jaxvision import data; "
  program += "print(data.prepare('digits', data_dir=sys.argv[1]))"
  command = [sys.executable, "-c", program, str(tmp_path)]
  running = [
    subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(2)
  ]
  outputs = [process.communicate()[0] for process in running]
  assert [process.returncode for process in running] == [0, 0]
  assert outputs == [f"{tmp_path / 'digits' / '1.0.0'}\n"] * 2
  cut = config("tfds", "digits", data_dir=tmp_path)
  assert data.open_dataset(cut, "all").num_examples == 1797


def test_only_our_own_data_sets_can_be_prepared(tmp_path):
  with pytest.raises(ValueError, match="'digts'; did you mean 'digits'"):
    data.prepare("digts", data_dir=tmp_path)
