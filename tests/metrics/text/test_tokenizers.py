"""The tokens of "coco" are those of PTBTokenizer, but in the listed cases."""

import pytest
from text_corpus import DIFFERENT, TOKENIZED

from jaxvision.metrics import text


@pytest.mark.parametrize(("sentence", "expected"), TOKENIZED)
def test_tokens_of_coco(sentence, expected):
  assert text.tokenize(sentence, "coco") == expected.split()


@pytest.mark.parametrize(("sentence", "ours", "theirs"), DIFFERENT)
def test_the_differences_are_those_of_the_docstring(sentence, ours, theirs):
  assert text.tokenize(sentence, "coco") == ours.split() != theirs.split()


def test_13a():
  sentence = "A man's dog is running, at 3.5 mph! 3.5 % &quot;x&amp;y&quot; 5-6"
  expected = 'A man\'s dog is running , at 3.5 mph ! 3.5 % " x & y " 5 - 6'
  assert text.tokenize(sentence, "13a") == expected.split()
