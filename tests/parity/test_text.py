"""BLEU, ROUGE, CIDEr-D and tokens equal those of the public libraries.

Needs `requirements-parity.txt`; the tokens of COCO's evaluation need Java.
"""

import random
import shutil
import unicodedata

import pytest
from text_corpus import DIFFERENT, HYPOTHESES, REFERENCES, TOKENIZED

from jaxvision.metrics import text

pytestmark = pytest.mark.parity

_WORDS = (
  *("a", "the", "cat", "dogs", "running", "is", "on", "under", "quickly"),
  *("it's", "3.5", "caf\xe9", "\u6771\u4eac", "(red)", "50%", "U.S.", "dying"),
  *(
    "&amp;",
    "x-y",
    "5-6",
    ",",
    ".",
    "1,000",
    "\u201cso\u201d",
    "\xbd",
    "a\u0301",
  ),
)


def _sentence(draw, longest):
  words = draw.choices(_WORDS, k=draw.randint(0, longest))
  return " ".join(words)


def _corpora():
  """Corpora with short and empty texts, repeated words and ties."""
  yield list(HYPOTHESES), [list(each) for each in REFERENCES]
  for seed in range(60):
    draw = random.Random(seed)
    size, longest = draw.randint(2, 8), draw.choice((3, 7, 12))
    references = [
      [_sentence(draw, longest) for _ in range(draw.randint(1, 5))]
      for _ in range(size)
    ]
    hypotheses = [
      draw.choice((each[0], _sentence(draw, longest), ""))
      for each in references
    ]
    yield hypotheses, references


CORPORA = list(_corpora())


@pytest.mark.parametrize("tokenizer", ["none", "13a", "char", "intl"])
@pytest.mark.parametrize("smoothing", text.SMOOTHINGS)
def test_bleu_is_that_of_sacrebleu(tokenizer, smoothing):
  from sacrebleu import metrics

  names = {"tokenize": tokenizer, "smooth_method": smoothing}
  options = {"tokenizer": tokenizer, "smoothing": smoothing}
  for hypotheses, references in CORPORA:
    # sacrebleu takes the k-th reference of all texts, or None.
    most = max(map(len, references))
    by_number = [
      [each[k] if k < len(each) else None for each in references]
      for k in range(most)
    ]
    theirs = metrics.BLEU(**names).corpus_score(hypotheses, by_number)
    ours = text.corpus_bleu(hypotheses, references, **options)
    assert ours.score == pytest.approx(theirs.score / 100, abs=1e-12)
    assert (ours.length, ours.reference_length) == (
      theirs.sys_len,
      theirs.ref_len,
    )
    for effective in (False, True):
      metric = metrics.BLEU(**names, effective_order=effective)
      for hypothesis, others in zip(hypotheses, references, strict=True):
        theirs = metric.sentence_score(hypothesis, others)
        ours = text.sentence_bleu(
          hypothesis, others, effective_order=effective, **options
        )
        assert ours.score == pytest.approx(theirs.score / 100, abs=1e-12)


def test_tokens_are_those_of_sacrebleu():
  from sacrebleu.tokenizers import tokenizer_13a, tokenizer_intl

  tokenizers = {
    "13a": tokenizer_13a.Tokenizer13a(),
    "intl": tokenizer_intl.TokenizerV14International(),
  }
  # The library regex has characters of later versions of Unicode.
  characters = "".join(
    chr(code)
    for code in range(32, 0x3100)
    if unicodedata.category(chr(code)) != "Cn"
  )
  draw = random.Random(0)
  for _ in range(2000):
    sentence = "".join(draw.choices("ab1 .,-&" + characters[:96], k=20))
    sentence += "".join(draw.choices(characters, k=5))
    for name, theirs in tokenizers.items():
      assert text.tokenize(sentence, name) == theirs(sentence).split()


def test_the_signature_is_that_of_sacrebleu():
  from sacrebleu import metrics

  metric = metrics.BLEU()
  metric.corpus_score(list(HYPOTHESES), list(zip(*REFERENCES, strict=True)))
  theirs = str(metric.get_signature()).partition("version")[0]
  assert text.signature(REFERENCES).partition("version")[0] == theirs


def test_smoothing_is_that_of_nltk():
  from nltk.translate import bleu_score

  for name in ("method1", "method2", "method3"):
    smooth = getattr(bleu_score.SmoothingFunction(), name)
    for hypothesis, others in zip(HYPOTHESES, REFERENCES, strict=True):
      theirs = bleu_score.sentence_bleu(
        [each.split() for each in others],
        hypothesis.split(),
        smoothing_function=smooth,
      )
      ours = text.sentence_bleu(hypothesis, others, smoothing=name)
      assert ours.score == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_is_that_of_rouge_score(stem):
  from rouge_score import rouge_scorer

  scorer = rouge_scorer.RougeScorer(list(text.ROUGE_KINDS), use_stemmer=stem)
  for hypotheses, references in CORPORA:
    # Lines are the sentences of Lsum.
    joined = "\n".join(hypotheses)
    others = ["\n".join(each) for each in references]
    theirs = scorer.score_multi(others, joined)
    ours = text.rouge(joined, others, stem=stem)
    for kind in text.ROUGE_KINDS:
      of = ours[kind]
      assert (of.precision, of.recall, of.f1) == pytest.approx(theirs[kind])


def test_stemming():
  found = text.rouge(
    "police kill the gunman", ["police killed the gunman"], stem=True
  )
  assert {each.f1 for each in found.values()} == {1.0}


def test_scores_of_captions_are_those_of_pycocoevalcap():
  from pycocoevalcap.bleu.bleu import Bleu
  from pycocoevalcap.cider.cider import Cider
  from pycocoevalcap.rouge.rouge import Rouge

  for hypotheses, references in CORPORA:
    # Two texts without words are equal for pycocoevalcap.
    references = [
      [each if text.tokenize(each, "coco") else "cat" for each in of]
      for of in references
    ]
    tokens = [
      [" ".join(text.tokenize(each, "coco")) for each in texts]
      for texts in (hypotheses, *references)
    ]
    given = dict(enumerate([each] for each in tokens[0]))
    expected = dict(enumerate(tokens[1:]))
    ours = text.caption_scores(hypotheses, references)
    bleu, _ = Bleu(4).compute_score(expected, given, verbose=0)
    for order, theirs in enumerate(bleu, start=1):
      if ours[f"bleu{order}"]:
        assert ours[f"bleu{order}"] == pytest.approx(theirs, abs=1e-8)
      else:  # theirs is not quite 0
        counts = text.corpus_bleu(tokens[0], tokens[1:], tokenizer="none")
        assert 0 in counts.matches[:order]
    mean, each = Rouge().compute_score(expected, given)
    assert ours["rouge_l"] == pytest.approx(mean, abs=1e-12)
    found = text.coco_rouge_l(hypotheses, references)
    assert found == pytest.approx(each, abs=1e-12)
    mean, each = Cider().compute_score(expected, given)
    assert ours["cider"] == pytest.approx(mean, abs=1e-12)
    found = text.cider_d(hypotheses, references)
    assert found == pytest.approx(each, abs=1e-12)


@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
def test_tokens_are_those_of_coco():
  from pycocoevalcap.tokenizer import ptbtokenizer

  sentences = [
    *((sentence, theirs) for sentence, theirs in TOKENIZED if sentence),
    *((sentence, theirs) for sentence, _, theirs in DIFFERENT),
  ]
  given = {
    number: [{"caption": sentence}]
    for number, (sentence, _) in enumerate(sentences)
  }
  found = ptbtokenizer.PTBTokenizer().tokenize(given)
  for number, (_, theirs) in enumerate(sentences):
    assert found[number] == [theirs]
