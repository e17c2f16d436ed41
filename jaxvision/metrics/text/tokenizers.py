"""From a text to its tokens.

"none" splits at whitespace, "char" gives each character that is not a space.
"13a" and "intl" are sacrebleu's, of mteval-v13a and mteval-v14. "rouge" is the
one of rouge-score. "coco" is close to the evaluation of COCO's captions, which
needs Java: Stanford's PTBTokenizer 3.4.1 in lower case, then punctuation is
removed. As there, contractions are two tokens ("is n't", "man 's"), hyphens,
points and commas inside words and numbers stay ("t-shirt", "3.5"), symbols are
tokens ("50 %"), and runs such as "!!" are not removed. Brackets become "-lrb-"
and "-rrb-", which COCO's list of punctuation, in capitals, does not remove. The
euro becomes "$", the pound "#" and the cent "cents".

"coco" differs from PTBTokenizer in these cases:

- abbreviations lose their last point ("Mr." is "mr"), except of letters ("U.S."
  is "u.s."). The point of one letter stays if a word follows ("j. smith"). For
  PTBTokenizer it depends on the next word, which may be of the next caption;
- two words joined by a point are two tokens ("cat.A dog");
- addresses, e-mails, markup (<b>), names with @ or #, smileys and fractions
  such as ½ are not recognised;
- an apostrophe before or after a word is removed ("'90s", "'n'", "'tis");
- "cannot", "gonna", "gotta", "wanna", "lemme" and "gimme" are split, rarer
  contractions ("more'n") are not.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Callable

# The rules of mteval-v13a, in order.
_13A = (
  # ASCII punctuation but ' , - .
  (re.compile(r"([!-&(-+:-@\[-`{-~/])"), r" \1 "),
  # Points and commas stay between digits.
  (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
  (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
  (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))

_REPLACED = str.maketrans(
  {"\u2018": "'", "\u2019": "'", "\u20ac": "$", "\xa3": "#", "\xa2": " cents "}
  | {"(": " -lrb- ", "[": " -lsb- ", "{": " -lcb- "}
  | {")": " -rrb- ", "]": " -rsb- ", "}": " -rcb- "}
)
_CONTRACTIONS = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))(?!\w)")
_JOINED = re.compile(
  r"\b(can)(not)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(wan)(na)\b"
  r"|\b(lem|gim)(me)\b"
)
_TOKEN = re.compile(
  r"-[lr][rsc]b-"  # a bracket
  r"|(?<!\w)(?:[^\W\d_]\.){2,}(?!\w)"  # u.s.
  r"|(?<!\w)[^\W\d_]\.(?=\s+\w)"  # j. smith
  r"|n't\b|'(?:s|re|ve|ll|d|m)\b"
  r"|[!?]{2,}"
  # Words and numbers; points and commas stay between digits.
  r"|(?:(?<![\w-])-?\.?(?=\d))?\w+(?:(?:[-/'_&]|(?<=\d)[.,:](?=\d))\w+)*"
  r"|\S"
)
# Also typographic quotes, dashes and the ellipsis.
_REMOVED = frozenset(
  "'`\"?!.,:;-\u201c\u201d\u201e\u00ab\u00bb\u2013\u2014\u2026"
)


def tokenize(text: str, tokenizer: str) -> list[str]:
  """Returns the tokens of a text.

  Args:
    text: any text.
    tokenizer: a name of TOKENIZERS.

  Raises:
    ValueError: unknown tokenizer.
  """
  if tokenizer not in TOKENIZERS:
    raise ValueError(
      f"unknown tokenizer {tokenizer!r}; expected one of "
      f"{', '.join(TOKENIZERS)}"
    )
  return TOKENIZERS[tokenizer](text)


def _mteval_13a(text: str) -> list[str]:
  text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
  for entity, character in _ENTITIES:
    text = text.replace(entity, character)
  text = f" {text} "
  for pattern, replacement in _13A:
    text = pattern.sub(replacement, text)
  return text.split()


def _mteval_14(text: str) -> list[str]:
  """Punctuation that touches a character that is no number, and symbols."""
  number, mark, symbol = (_category(each) for each in "NPS")
  text = re.sub(f"([^{number}])([{mark}])", r"\1 \2 ", text)
  text = re.sub(f"([{mark}])([^{number}])", r" \1 \2", text)
  return re.sub(f"([{symbol}])", r" \1 ", text).split()


@functools.cache
def _category(letter: str) -> str:
  """The characters of a general category of Unicode, for a character class."""
  return "".join(
    re.escape(chr(code))
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code))[0] == letter
  )


def _characters(text: str) -> list[str]:
  return [each for each in text if not each.isspace()]


def _rouge(text: str) -> list[str]:
  """Letters a to z and digits; all other characters separate."""
  return re.findall("[a-z0-9]+", text.lower())


def _coco(text: str) -> list[str]:
  text = text.lower().translate(_REPLACED)
  text = _JOINED.sub(_parted, _CONTRACTIONS.sub(r" \1", text))
  return [each for each in _TOKEN.findall(text) if each not in _REMOVED]


def _parted(match: re.Match) -> str:
  return " ".join(filter(None, match.groups()))


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
  "13a": _mteval_13a,
  "char": _characters,
  "coco": _coco,
  "intl": _mteval_14,
  "none": str.split,
  "rouge": _rouge,
}
