"""CIDEr-D, COCO's ROUGE-L and the scores of captions (see tests/parity)."""

import numpy as np
import pytest
from text_corpus import HYPOTHESES, REFERENCES

from jaxvision.metrics import text


def test_rouge_l_of_coco():
  found = text.coco_rouge_l(HYPOTHESES, REFERENCES)
  expected = (0.8323586745, 0.7587064677, 0.8429295256)
  np.testing.assert_allclose(found, expected, atol=1e-10)
  assert found.mean() == pytest.approx(0.8113315559, abs=1e-10)


def test_cider():
  found = text.cider_d(HYPOTHESES, REFERENCES)
  expected = (2.7874565255, 1.9880853184, 2.6083214105)
  np.testing.assert_allclose(found, expected, atol=1e-10)
  assert found.mean() == pytest.approx(2.4612877514, abs=1e-10)


def test_cider_of_the_reference_itself_is_10():
  texts = ["a red cat sat down", "two dogs ran up there"]
  found = text.cider_d(texts, [[each] for each in texts])
  np.testing.assert_allclose(found, 10)


def test_cider_of_one_image_is_0():
  assert text.cider_d(["a cat"], [["a cat", "a dog"]]).tolist() == [0]


def test_scores_of_captions():
  shown = [f"{each.capitalize()}." for each in HYPOTHESES]
  found = text.caption_scores(shown, REFERENCES)
  assert found == pytest.approx(
    {
      "bleu1": 0.9545454545,
      "bleu2": 0.7764475600,
      "bleu3": 0.5321753518,
      "bleu4": 0.3281370194,
      "rouge_l": 0.8113315559,
      "cider": 2.4612877514,
    },
    abs=1e-9,
  )


def test_captions_without_words_score_0():
  found = text.caption_scores(["", "..."], [["a cat"], ["a dog"]])
  assert set(found.values()) == {0}


def test_captions_without_references_are_an_error():
  with pytest.raises(ValueError, match="have no reference, first number 0"):
    text.caption_scores(["a", "b"], [[], ["b"]])
