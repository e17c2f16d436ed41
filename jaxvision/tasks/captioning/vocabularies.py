"""Vocabularies: texts as identifiers of words, or of the pieces of words.

Identifier 0 is padding. A vocabulary is made from the training captions, or is
that of a SentencePiece file. Its content is kept in the folder of a run.
"""

import collections
import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxvision.metrics import text as texts

# The names of the files that keep a vocabulary.
WORDS_FILE, PIECES_FILE = "vocabulary.json", "vocabulary.model"
_SPECIAL = ("padding", "end", "unknown")
# No text has this character, so it matches no word of a reference.
_UNKNOWN_WORD = "\ufffd"
# The tokens of brackets in COCO's evaluation.
_BRACKET = re.compile("-[lr][rsc]b-")


@dataclasses.dataclass(frozen=True)
class Words:
  """Words in lower case, without punctuation, as COCO's evaluation splits them.

  Attributes:
    words: the word of each identifier from 3 on.
  """

  words: tuple[str, ...]
  end: int = 1
  unknown: int = 2

  @property
  def size(self) -> int:
    """The number of identifiers."""
    return len(_SPECIAL) + len(self.words)

  def encode(self, text: str) -> list[int]:
    """The identifiers of a text, without its end."""
    return [self._numbers.get(word, self.unknown) for word in split(text)]

  def decode(self, identifiers: Iterable[int]) -> str:
    """The text of identifiers; padding and ends are left out."""
    first = len(_SPECIAL)
    found = [
      _UNKNOWN_WORD if number == self.unknown else self.words[number - first]
      for number in identifiers
      if number == self.unknown or number >= first
    ]
    return " ".join(found)

  def files(self) -> dict[str, bytes]:
    """The files that keep the vocabulary."""
    content = json.dumps({"words": self.words}, ensure_ascii=False)
    return {WORDS_FILE: content.encode()}

  @functools.cached_property
  def _numbers(self) -> dict[str, int]:
    first = len(_SPECIAL)
    return {word: first + i for i, word in enumerate(self.words)}


@dataclasses.dataclass(frozen=True)
class Pieces:
  """The pieces of words of a SentencePiece model (Kudo and Richardson 2018).

  Attributes:
    content: of the file.
    source: of the file, for messages.

  Raises:
    ValueError: the file is damaged, or its identifier 0 is not padding.
    ModuleNotFoundError: the library is not installed.
  """

  content: bytes
  source: str

  def __post_init__(self) -> None:
    model = self._model
    ends = {"padding": model.pad_id(), "end": model.eos_id()}
    if ends["padding"] != 0 or ends["end"] <= 0:
      raise ValueError(
        f"{self.source} has the identifiers {ends}; expected padding 0 and an "
        "end: train the model with --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1"
      )

  @property
  def size(self) -> int:
    """The number of identifiers."""
    return self._model.get_piece_size()

  @property
  def end(self) -> int:
    """The identifier of the end of a text."""
    return self._model.eos_id()

  @property
  def unknown(self) -> int:
    """The identifier of an unknown piece."""
    return self._model.unk_id()

  def encode(self, text: str) -> list[int]:
    """The identifiers of a text, without its end."""
    return self._model.encode(text)

  def decode(self, identifiers: Iterable[int]) -> str:
    """The text of identifiers; padding and ends are left out."""
    return self._model.decode(
      [i for i in identifiers if i not in (0, self.end)]
    )

  def files(self) -> dict[str, bytes]:
    """The files that keep the vocabulary."""
    return {PIECES_FILE: self.content}

  @property
  def _model(self) -> Any:
    return _processor(self.content, self.source)


Vocabulary = Words | Pieces


@functools.lru_cache(maxsize=4)
def _processor(content: bytes, source: str) -> Any:
  try:
    import sentencepiece
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f"{source} is a SentencePiece file, which needs the library "
      'sentencepiece: pip install "jaxvision[sentencepiece]"'
    ) from error
  try:
    return sentencepiece.SentencePieceProcessor(model_proto=content)
  except RuntimeError as error:
    raise ValueError(
      f"{source} is not a SentencePiece model ({error}); give a .model file"
    ) from error


def split(text: str) -> list[str]:
  """The words of a text: lower case, without punctuation and brackets."""
  return [
    word
    for word in texts.tokenize(text, "coco")
    if not _BRACKET.fullmatch(word)
  ]


def make(captions: Iterable[str], *, minimum: int, most: int) -> Words:
  """The words of captions, the most frequent first, equal ones by alphabet.

  Args:
    captions: of the training.
    minimum: smallest number of occurrences of a word.
    most: largest number of words.

  Raises:
    ValueError: no word is frequent enough.
  """
  counts = collections.Counter(
    word for each in captions for word in split(each)
  )
  frequent = [word for word, count in counts.items() if count >= minimum]
  chosen = sorted(frequent, key=lambda word: (-counts[word], word))[:most]
  if not chosen:
    raise ValueError(
      f"no word occurs {minimum} times in the training captions; lower "
      "task.options.minimum_count"
    )
  return Words(tuple(chosen))


def open_file(path: str) -> Pieces:
  """The vocabulary of a SentencePiece file.

  Raises:
    FileNotFoundError: it does not exist.
    ValueError, ModuleNotFoundError: as `Pieces`.
  """
  file = pathlib.Path(path).expanduser()
  if not file.is_file():
    raise FileNotFoundError(
      f"task.options.vocabulary is {path!r}, which does not exist; give a "
      'SentencePiece file (.model), or "words" to make a vocabulary from the '
      "training captions"
    )
  return Pieces(file.read_bytes(), str(path))


def from_files(kept: Mapping[str, bytes]) -> Vocabulary | None:
  """The vocabulary that a run has kept; None without one.

  Raises:
    ValueError: the file is damaged.
  """
  if PIECES_FILE in kept:
    return Pieces(kept[PIECES_FILE], PIECES_FILE)
  if WORDS_FILE not in kept:
    return None
  try:
    words = json.loads(kept[WORDS_FILE])["words"]
    return Words(tuple(map(str, words)))
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f"{WORDS_FILE} of the run is damaged ({error}); restore it from a copy"
    ) from error


def known_share(of: Vocabulary, captions: Sequence[str]) -> float:
  """The share of words, or of pieces, that the vocabulary has."""
  found = [number for each in captions for number in of.encode(each)]
  return sum(number != of.unknown for number in found) / max(len(found), 1)
