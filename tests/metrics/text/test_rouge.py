"""ROUGE equals values that rouge-score gives (see tests/parity)."""

import sys

import pytest

from jaxvision.metrics import text

_POLICE = "police killed the gunman"
_LINES = "the cat sat on the mat\nthe dog barked"


def _same(*values):
  """Precision, recall and F1 if both texts have as many words."""
  return {
    kind: (each,) * 3
    for kind, each in zip(text.ROUGE_KINDS, values, strict=True)
  }


@pytest.mark.parametrize(
  ("reference", "hypothesis", "expected"),
  [
    (_POLICE, "police kill the gunman", _same(3 / 4, 1 / 3, 3 / 4, 3 / 4)),
    (_POLICE, "the gunman kill police", _same(3 / 4, 1 / 3, 1 / 2, 1 / 2)),
    (_POLICE, "the gunman police killed", _same(1, 2 / 3, 1 / 2, 1 / 2)),
    (
      "a man riding a horse on a beach",
      "a man is riding a horse on the beach",
      {
        "rouge1": (0.777778, 0.875, 0.823529),
        "rouge2": (0.5, 0.571429, 0.533333),
        "rougeL": (0.777778, 0.875, 0.823529),
        "rougeLsum": (0.777778, 0.875, 0.823529),
      },
    ),
    (
      "w1 w2 w3 w4 w5",
      "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5",
      {
        "rouge1": (0.4, 0.8, 0.533333),
        "rouge2": (0.111111, 0.25, 0.153846),
        "rougeL": (0.4, 0.8, 0.533333),
        "rougeLsum": (0.4, 0.8, 0.533333),
      },
    ),
    (
      "a b c\nd e f",
      "d e f\na b c",
      {"rouge1": (1, 1, 1), "rougeL": (0.5,) * 3, "rougeLsum": (1, 1, 1)},
    ),
    (
      _LINES,
      "the dog barked loudly\nthe cat sat",
      {
        "rouge1": (0.857143, 0.666667, 0.75),
        "rougeL": (0.428571, 0.333333, 0.375),
        "rougeLsum": (0.857143, 0.666667, 0.75),
      },
    ),
    ("A B C D", "d c b a", _same(1, 0, 1 / 4, 1 / 4)),
    ("x", "", _same(0, 0, 0, 0)),
    ("", "", _same(0, 0, 0, 0)),
  ],
)
def test_values(reference, hypothesis, expected):
  found = text.rouge(hypothesis, [reference])
  assert list(found) == list(text.ROUGE_KINDS)
  for kind, values in expected.items():
    of = found[kind]
    assert (of.precision, of.recall, of.f1) == pytest.approx(values, abs=1e-6)


def test_words():
  found = text.tokenize("It's a DOG's 3.5-mile run!", "rouge")
  assert " ".join(found) == "it s a dog s 3 5 mile run"


def test_the_best_of_several_references_counts():
  references = ["a dog", "police kill gunman", "the police killed a man"]
  found = text.rouge(_POLICE, references)
  for kind in text.ROUGE_KINDS:
    best = max(text.rouge(_POLICE, [each])[kind].f1 for each in references)
    assert found[kind].f1 == best > 0


def test_the_mean_of_a_corpus():
  found = text.mean_rouge(["a b", "c d"], [["a b"], ["e f"]])
  assert found["rouge1"] == text.Rouge(0.5, 0.5, 0.5)


def test_longer_n_grams():
  found = text.rouge("a b c d", ["a b c e"], kinds=["rouge3"])
  assert found["rouge3"].f1 == 0.5


@pytest.mark.parametrize("kind", ["rouge0", "rouge", "rougeW", "bleu"])
def test_an_unknown_kind_is_an_error(kind):
  with pytest.raises(ValueError, match=f"unknown kind '{kind}'"):
    text.rouge("a", ["a"], kinds=[kind])


def test_stemming_without_nltk_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, "nltk.stem", None)
  with pytest.raises(ValueError, match=r"pip install 'jaxvision\[text\]'"):
    text.rouge("a", ["a"], stem=True)
