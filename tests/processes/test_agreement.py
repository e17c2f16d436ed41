"""One process alone; several real ones are in test_many_processes.py.

Here the texts of several processes are simulated.
"""

import json

import pytest

from jaxvision.processes import agreement


@pytest.fixture
def others(monkeypatch):
  """others(function): the function gives the texts of three other processes."""

  def speak(function):
    monkeypatch.setattr(agreement.jax, "process_count", lambda: 4)
    monkeypatch.setattr(
      agreement, "texts", lambda text: [text, *map(function, (1, 2, 3))]
    )

  return speak


def test_a_single_process_is_first_and_agrees(tmp_path):
  assert agreement.is_first()
  assert agreement.texts("a") == ["a"]
  assert agreement.first(lambda: (1, 2)) == (1, 2)
  agreement.agree({"jax": "1"})
  agreement.check_shared(tmp_path / "not there")


def test_a_single_process_raises_the_original_error():
  def fail():
    raise FileNotFoundError("gone")

  with pytest.raises(FileNotFoundError, match="gone"):
    agreement.first(fail)


def test_all_processes_raise_the_error_of_the_first(others):
  others(lambda process: "{}")

  def fail():
    raise OSError("the disk is full")

  with pytest.raises(agreement.Agreed, match="the disk is full") as caught:
    agreement.first(fail)
  assert isinstance(caught.value.__cause__, OSError)


def test_the_error_names_the_processes_that_differ(others):
  versions = {1: "0.10.2", 2: "0.12.0", 3: "0.10.2"}
  others(lambda n: json.dumps({"jax": versions[n], "config": "f00d"}))
  with pytest.raises(agreement.Agreed) as caught:
    agreement.agree({"jax": "0.10.2", "config": "f00d"})
  assert str(caught.value).splitlines()[1:-1] == [
    "  jax: 0.10.2 in processes 0, 1, 3",
    "  jax: 0.12.0 in process 2",
  ]


def test_the_error_names_the_processes_without_the_folder(others, tmp_path):
  others(lambda process: "no" if process == 2 else "yes")
  with pytest.raises(agreement.Agreed, match="process 2 does not see"):
    agreement.check_shared(tmp_path)
  others(lambda process: "yes" if process == 2 else "no")
  with pytest.raises(agreement.Agreed, match="processes 1, 3 do not see"):
    agreement.check_shared(tmp_path)
  others(lambda process: "yes")
  agreement.check_shared(tmp_path)
  assert not list(tmp_path.iterdir())
