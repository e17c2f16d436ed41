"""Three captions with three references each; several files test with them."""

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
