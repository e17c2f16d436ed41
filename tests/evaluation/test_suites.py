"""Suites by name, with their data and options."""

import pytest

from jaxvision.evaluation import network, suites


@pytest.fixture
def echo(monkeypatch):
  """A suite that returns its options."""

  def create(root: str, *, k: int = 1):
    return lambda of: (
      lambda variables: network.Outcome(
        {"k": float(k), "variables": variables}, {"root": root, "of": of}
      )
    )

  monkeypatch.setitem(suites.SUITES, "echo", create)


def test_a_suite_gets_its_data_its_network_and_the_variables(echo):
  evaluate = suites.make_evaluator(("echo('here', k=3)",), "network")
  found = evaluate(2.0)
  assert found["echo"].details == {"root": "here", "of": "network"}
  assert suites.flat(found) == {"echo/k": 3.0, "echo/variables": 2.0}


@pytest.mark.parametrize(
  ("call", "expected"),
  [
    ("echo", "echo('a b')"),
    ("echo()", "echo('a b')"),
    ("echo(k=2)", "echo('a b', k=2)"),
    (" my.py:create (k=(1, 2))", "my.py:create('a b', k=(1, 2))"),
  ],
)
def test_data_become_the_first_argument(call, expected):
  assert suites.with_data(call, "a b") == expected


def test_wrong_calls(echo):
  with pytest.raises(ValueError, match=r"unknown suite 'ecko'.*echo"):
    suites.make_evaluator(("ecko('a')",), None)
  with pytest.raises(ValueError, match="root"):
    suites.make_evaluator(("echo",), None)
  with pytest.raises(ValueError, match="given twice"):
    suites.make_evaluator(("echo('a')", "echo('b')"), None)
  with pytest.raises(ValueError, match="kk"):
    suites.make_evaluator(("echo('a', kk=2)",), None)
