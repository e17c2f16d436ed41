"""The question of the kept sweep: six runs, which train two at a time."""

from jaxvision import sweep

QUESTION = "Which learning rate?"
BASE = "recipe.py:linear"
SPACE = {
  "optimizer.learning_rate": sweep.grid(0.01, 0.1, 0.3),
  "seed": sweep.seeds(2),
}
OBJECTIVE = sweep.minimize("validation/loss")
READ = "The lowest mean over the seeds."
