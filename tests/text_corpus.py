"""Captions and sentences that several files test with."""

HYPOTHESES = (
  "a man is riding a horse on the beach",
  "a dog runs in the park",
  "two red buses parked near a building",
)
REFERENCES = (
  (
    "a man riding a horse on a beach",
    "a person rides a brown horse along the beach",
    "man on a horse at the beach",
  ),
  (
    "the dog is running in a park",
    "a dog runs across the green park",
    "a dog running through grass",
  ),
  (
    "two red buses are parked next to a building",
    "a pair of buses parked by a building",
    "red buses near a tall building",
  ),
)

# Sentences and their tokens by edu.stanford.nlp.process.PTBTokenizer 3.4.1,
# without pycocoevalcap's list of punctuation.
TOKENIZED = (
  (
    "A man's dog is running, at 3.5 mph!",
    "a man 's dog is running at 3.5 mph",
  ),
  ("A red kangaroo.", "a red kangaroo"),
  ("A baby sheep (a lamb).", "a baby sheep -lrb- a lamb -rrb-"),
  ("Isn't it? I cannot; we're here", "is n't it i can not we 're here"),
  ("They'll've gone, I'd say", "they 'll 've gone i 'd say"),
  ("gonna wanna lemme", "gon na wan na lem me"),
  ("A t-shirt & 50% off: $3.50 #1", "a t-shirt & 50 % off $ 3.50 # 1"),
  ("the dogs' bowls... and 10,000 cats", "the dogs bowls and 10,000 cats"),
  ("\"Quoted\" 'single' and/or U.S.", "quoted single and/or u.s."),
  ("o'clock 90's 1990s -- a 1/2 cup", "o'clock 90 's 1990s a 1/2 cup"),
  ("A caf\xe9 \u201cbar\u201d, it\u2019s", "a caf\xe9 bar it 's"),
  ("[a] {b} a*b a+b=c", "-lsb- a -rsb- -lcb- b -rcb- a * b a + b = c"),
  ("wow!!! ok?! yes ! !", "wow !!! ok ?! yes"),
  ("J. Smith of the U.S. Army", "j. smith of the u.s. army"),
  ("$.05 or -5, 50\xa2 \xa35 \u20ac5", "$ .05 or -5 50 cents # 5 $ 5"),
  ("a - b -- c, 5-6 at 12:30 p.m.", "a b c 5-6 at 12:30 p.m."),
  ("", ""),
)
# Sentences, our tokens, and those of PTBTokenizer.
DIFFERENT = (
  ("Mr. Smith etc.", "mr smith etc", "mr. smith etc."),
  ("A cat.A dog", "a cat a dog", "a cat.a dog"),
  ("rock 'n' roll", "rock n roll", "rock 'n' roll"),
  ("at @home <b>", "at @ home < b >", "at @home <b>"),
)
