"""BLEU equals values that nltk and sacrebleu give (see tests/parity)."""

import pytest
from text_corpus import HYPOTHESES, REFERENCES

from jaxvision.metrics import text

_BUS = ("a red bus", ["a red bus on a street"])
_MAN = ("A man's dog is running, at 3.5 mph!",)
_MAN_REFERENCE = ["A man 's dog is running at 3.5 mph ."]


def _corpus(**options):
  return text.corpus_bleu(
    HYPOTHESES, REFERENCES, tokenizer="none", smoothing="none", **options
  )


@pytest.mark.parametrize(
  ("order", "expected"),
  [
    (1, 0.9545454545),
    (2, 0.7764475600),
    (3, 0.5321753518),
    (4, 0.3281370194),
  ],
)
def test_a_corpus(order, expected):
  assert _corpus(max_order=order).score == pytest.approx(expected, abs=1e-10)


def test_the_counts_of_a_corpus():
  found = _corpus()
  assert found.matches == (21, 12, 4, 1)
  assert found.totals == (22, 19, 16, 13)
  assert (found.length, found.reference_length) == (22, 20)
  assert found.brevity_penalty == 1


def test_of_two_references_as_close_the_shorter_counts():
  # 6 words; the references have 5 and 7.
  shorter, longer = "a b c d e", "a b c d e f g"
  for references in ([longer, shorter], [shorter, longer]):
    found = text.sentence_bleu("a b c d e f", references)
    assert found.reference_length == 5


def test_matches_are_clipped():
  references = ["the cat is on the mat", "there is a cat on the mat"]
  found = text.sentence_bleu(" ".join(["the"] * 7), references)
  assert (found.matches[0], found.totals[0]) == (2, 7)


@pytest.mark.parametrize(
  ("length", "reference", "expected"),
  [
    (6, 8, 0.7165313106),
    (9, 10, 0.8948393168),
    (10, 10, 1),
    (11, 10, 1),
    (1, 2, 0.3678794412),
  ],
)
def test_brevity(length, reference, expected):
  found = text.sentence_bleu("a " * length, ["a " * reference])
  assert found.brevity_penalty == pytest.approx(expected, abs=1e-10)


def test_a_sentence():
  for order, expected in enumerate(
    (0.8888888889, 0.7453559925, 0.5414435072, 0.4032989117), start=1
  ):
    found = text.sentence_bleu(
      HYPOTHESES[0], REFERENCES[0], max_order=order, smoothing="none"
    )
    assert found.score == pytest.approx(expected, abs=1e-10)
  assert found.precisions == pytest.approx((8 / 9, 5 / 8, 2 / 7, 1 / 6))
  assert found.brevity_penalty == 1


@pytest.mark.parametrize(
  ("smoothing", "expected"),
  [
    ("none", 0.403298911675),
    ("floor", 0.403298911675),
    ("exp", 0.403298911675),
    ("add-k", 0.501972424880),
  ],
)
def test_smoothing_of_a_sentence_with_matches(smoothing, expected):
  found = text.sentence_bleu(HYPOTHESES[0], REFERENCES[0], smoothing=smoothing)
  assert found.score == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize(
  ("smoothing", "expected"),
  [
    ("none", 0),
    ("floor", 0.2033935950),
    ("add-k", 0.4002764942),
    ("exp", 0.3041443645),
    ("method1", 0.2033935950),
    ("method2", 0.4002764942),
    ("method3", 0.3041443645),
  ],
)
def test_smoothing_of_a_sentence_without_4_grams(smoothing, expected):
  found = text.sentence_bleu(
    HYPOTHESES[1], REFERENCES[1][:2], smoothing=smoothing
  )
  assert found.score == pytest.approx(expected, abs=1e-10)
  assert found.brevity_penalty == pytest.approx(0.8464817249, abs=1e-10)
  assert found.matches == (6, 2, 1, 0) and found.totals == (6, 5, 4, 3)


def test_the_value_of_a_smoothing():
  found = text.sentence_bleu(
    HYPOTHESES[1], REFERENCES[1][:2], smoothing="floor", smoothing_value=0.6
  )
  assert found.precisions[3] == pytest.approx(0.6 / 3)


def test_effective_order_of_short_sentences():
  assert text.sentence_bleu(*_BUS, effective_order=False).score == 0
  found = text.sentence_bleu(*_BUS)
  assert found.score == pytest.approx(0.367879441171, abs=1e-11)


def test_effective_order_changes_no_sentence_with_4_grams():
  with_order, without = (
    text.sentence_bleu(
      HYPOTHESES[1], REFERENCES[1][:2], effective_order=each
    ).score
    for each in (True, False)
  )
  assert with_order == without


@pytest.mark.parametrize(
  ("tokenizer", "expected"),
  [
    ("13a", 0.273012086271),
    ("intl", 0.634046627705),
    ("none", 0.128625347874),
    ("char", 0.864570730156),
  ],
)
def test_tokenizers(tokenizer, expected):
  found = text.sentence_bleu(*_MAN, _MAN_REFERENCE, tokenizer=tokenizer)
  assert found.score == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("smoothing", text.SMOOTHINGS)
def test_a_hypothesis_without_words_scores_0(smoothing):
  found = text.sentence_bleu("", ["a cat"], smoothing=smoothing)
  assert found.score == 0 and found.brevity_penalty == 0
  assert text.corpus_bleu(["", ""], [["a"], [""]]).score == 0


def test_signature():
  found = text.signature(REFERENCES)
  assert found.startswith(
    "nrefs:3|case:mixed|eff:no|tok:13a|smooth:exp|version:jaxvision "
  )
  of_others = text.signature([["a"], ["a", "b"]], tokenizer="coco")
  assert of_others.startswith("nrefs:var|case:lc|eff:no|tok:coco|")
  assert "smooth:floor[0.10]" in text.signature([["a"]], smoothing="floor")


@pytest.mark.parametrize(
  ("hypotheses", "references", "options", "expected"),
  [
    ([], [], {}, "0 hypotheses"),
    (["a"], [["a"], ["b"]], {}, "1 hypotheses and 2 lists"),
    (["a", "b"], [["a"], []], {}, "have no reference, first number 1"),
    (["a"], [["a"]], {"max_order": 0}, "max_order is 0"),
    (["a"], [["a"]], {"smoothing": "sum"}, "unknown smoothing 'sum'"),
    (["a"], [["a"]], {"tokenizer": "ptb"}, "unknown tokenizer 'ptb'"),
  ],
)
def test_errors(hypotheses, references, options, expected):
  with pytest.raises(ValueError, match=expected):
    text.corpus_bleu(hypotheses, references, **options)


def test_a_text_is_no_list_of_references():
  with pytest.raises(TypeError, match="are the text 'a cat'"):
    text.corpus_bleu(["a cat"], ["a cat"])
