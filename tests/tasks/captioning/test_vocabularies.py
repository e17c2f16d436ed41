"""Tests of vocabularies of words and of SentencePiece files."""

import pathlib
import re
import sys

import pytest

from jaxvision.tasks import captioning
from jaxvision.tasks.captioning import vocabularies

CAPTIONS = ("A red kite.", "a kite (red)", "A dog's red kite!", "one dog")


def test_words_are_ordered_by_frequency_and_alphabet():
  found = vocabularies.make(CAPTIONS, minimum=1, most=100)
  assert found.words == ("a", "kite", "red", "dog", "'s", "one")
  assert found.size == 9
  assert found.encode("A red dog!") == [3, 5, 6]
  assert found.decode([3, 5, 6, found.end, 0]) == "a red dog"


def test_rare_words_and_those_after_the_largest_number_are_unknown():
  found = vocabularies.make(CAPTIONS, minimum=2, most=3)
  assert found.words == ("a", "kite", "red")
  assert found.encode("a dog") == [3, found.unknown]
  assert found.decode([3, found.unknown]) == "a \ufffd"
  assert vocabularies.known_share(found, ["a dog", "red kite"]) == 0.75
  with pytest.raises(ValueError, match="no word occurs 9 times"):
    vocabularies.make(CAPTIONS, minimum=9, most=3)


def test_a_vocabulary_is_read_from_its_files():
  made = vocabularies.make([*CAPTIONS, "café"], minimum=1, most=100)
  assert vocabularies.from_files(made.files()) == made
  assert vocabularies.from_files({}) is None
  with pytest.raises(ValueError, match=r"vocabulary\.json of the run is damag"):
    vocabularies.from_files({"vocabulary.json": b"[]"})


def test_a_missing_vocabulary_file_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"none\.model.*SentencePiece"):
    vocabularies.open_file(str(tmp_path / "none.model"))


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
  path = tmp_path / "some.model"
  path.write_bytes(b"content")
  monkeypatch.setitem(sys.modules, "sentencepiece", None)
  with pytest.raises(ModuleNotFoundError, match=r"jaxvision\[sentencepiece\]"):
    vocabularies.open_file(str(path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  """Returns train(**options) -> the path of a SentencePiece model."""
  library = pytest.importorskip("sentencepiece")
  folder = tmp_path_factory.mktemp("pieces")

  def train(**options) -> pathlib.Path:
    library.SentencePieceTrainer.train(
      sentence_iterator=iter([*CAPTIONS, "some other words of a text"] * 20),
      model_prefix=str(folder / "some"),
      vocab_size=40,
      hard_vocab_limit=False,
      minloglevel=2,
      **options,
    )
    return folder / "some.model"

  return train


def test_pieces_give_the_text_back(model):
  found = captioning.Pieces(
    model(pad_id=0, eos_id=1, unk_id=2, bos_id=-1).read_bytes(), "some.model"
  )
  numbers = found.encode("A red kite.")
  assert len(numbers) > 2 and 0 not in numbers and found.end not in numbers
  assert found.decode([*numbers, found.end, 0, 0]) == "A red kite."
  assert found.unknown in found.encode("☃")
  assert vocabularies.from_files(found.files()).encode("A red") == found.encode(
    "A red"
  )


def test_the_remedy_for_a_model_without_padding_makes_one_that_is_read(model):
  with pytest.raises(ValueError, match=r"expected padding 0") as raised:
    vocabularies.open_file(str(model()))
  flags = re.findall(r"--(\w+)=(-?\d+)", str(raised.value))
  path = model(**{name: int(value) for name, value in flags})
  found = vocabularies.open_file(str(path))
  assert found.decode(found.encode("A red kite.")) == "A red kite."


def test_a_file_of_another_kind_is_refused(model, tmp_path):
  path = tmp_path / "some.model"
  path.write_text("not a model")
  with pytest.raises(ValueError, match="is not a SentencePiece model"):
    vocabularies.open_file(str(path))
