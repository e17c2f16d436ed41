"""Tests of records: the fields of JSON files against their schemas."""

import json

import pytest

from jaxvision.files import records

_GOOD = {
  "status": "finished",
  "step": 3,
  "seconds": 1.5,
  "best": None,
  "class_names": ["a", "b"],
  "final": {"split": "test", "metrics": {"top1": 0.5, "loss": None}},
  "own": {"of": "the user"},
}


def test_a_valid_record_is_unchanged():
  assert records.good(_GOOD, records.RESULT) == (_GOOD, [])


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("step", "3", """'step' is "3", not a whole number"""),
    ("step", True, "'step' is true, not a whole number"),
    ("step", 2.5, "'step' is 2.5, not a whole number"),
    ("seconds", [], "'seconds' is [], not a number"),
    ("class_names", "ab", """'class_names' is "ab", not a list"""),
    ("class_names", ["a", 1], "'class_names[1]' is 1, not text"),
    ("final", [], "'final' is [], not an object"),
    ("final", {"split": "test"}, "'final.metrics' is missing"),
    (
      "final",
      {"split": "test", "metrics": {"top1": "x"}},
      """'final.metrics.top1' is "x", not a number""",
    ),
    ("status", "x" * 99 + "\x1b", None),
    ("status", {"\x1b": "x" * 99}, None),
  ],
)
def test_a_field_of_another_type_is_left_out_and_told(key, value, words):
  kept, problems = records.good({**_GOOD, key: value}, records.RESULT)
  if words is None:
    assert all(len(each) < 100 and "\x1b" not in each for each in problems)
  else:
    assert problems == [words]
    assert kept == {k: v for k, v in _GOOD.items() if k != key}


def test_a_file_that_is_not_as_described_is_named(tmp_path):
  path = tmp_path / "trial.json"
  record = {"number": 1, "state": "complete", "settings": {}, "overrides": {}}
  path.write_text(json.dumps(record))
  assert records.read(path, records.TRIAL, remedy="remove it") == record
  path.write_text(json.dumps({**record, "number": None, "value": "high"}))
  with pytest.raises(ValueError) as caught:
    records.read(path, records.TRIAL, remedy="remove it")
  assert str(caught.value) == (
    f"{path} is damaged: 'number' is missing; 'value' is \"high\", not a "
    "number; remove it"
  )
