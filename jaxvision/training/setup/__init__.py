"""The setup of a run: the only code that turns a config into objects."""

from jaxvision.training.setup.from_config import (
  init_state,
  make_model,
  make_optimizer,
  make_schedule,
  make_task,
  state_functions,
  surround,
)
from jaxvision.training.setup.inputs import (
  batch_size,
  batch_template,
  make_batches,
  make_source,
  open_splits,
  split_keys,
)
from jaxvision.training.setup.parts import (
  Parts,
  as_traced,
  for_one_device,
  prepare,
)

__all__ = [
  "Parts",
  "as_traced",
  "batch_size",
  "batch_template",
  "checks",
  "claim",
  "data_record",
  "explained",
  "extension",
  "for_one_device",
  "init_state",
  "initial_state",
  "make_batches",
  "make_model",
  "make_optimizer",
  "make_schedule",
  "make_source",
  "make_task",
  "open_splits",
  "prepare",
  "restore",
  "sanity",
  "split_keys",
  "state_functions",
  "stored_logits",
  "surround",
  "teachers",
  "teachers_record",
]
