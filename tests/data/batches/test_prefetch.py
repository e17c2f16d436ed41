import contextlib
import threading
import time

import pytest

from jaxvision.data.batches import prefetch


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_results_come_in_the_order_of_the_steps(number):
  def make(step):
    time.sleep(0.002 * (step % 3))
    return step * step

  made = prefetch.make_ahead(make, range(3, 20), threads=number)
  assert list(made) == [step * step for step in range(3, 20)]


def test_as_many_are_made_ahead_as_there_are_threads():
  asked, both = [], threading.Barrier(3)

  def make(step):
    asked.append(step)
    both.wait(timeout=10)

  made = prefetch.make_ahead(make, range(4), threads=2)
  taking = threading.Thread(target=next, args=(made,))
  taking.start()
  both.wait(timeout=10)  # only if two are in `make` at once
  taking.join(timeout=10)
  assert sorted(asked)[:2] == [0, 1] and len(asked) <= 3
  both.abort()
  made.close()


@pytest.mark.parametrize("number", [0, 2])
def test_without_threads_nothing_is_made_ahead(number):
  asked = []
  made = prefetch.make_ahead(asked.append, range(9), threads=number)
  assert asked == []
  next(made)
  made.close()
  assert len(asked) <= 1 + number


@pytest.mark.parametrize("number", [0, 3])
def test_errors_come_in_their_turn(number):
  def make(step):
    if step == 2:
      raise KeyError(step)
    return step

  made = prefetch.make_ahead(make, range(9), threads=number)
  assert [next(made), next(made)] == [0, 1]
  with pytest.raises(KeyError, match="2"):
    next(made)


def test_leaving_early_ends_the_threads():
  before = set(threading.enumerate())
  with contextlib.closing(
    prefetch.make_ahead(lambda step: step, range(10**9), threads=3)
  ) as made:
    next(made)
    assert set(threading.enumerate()) - before
  assert not set(threading.enumerate()) - before


def test_a_consumed_batch_is_released():
  """Otherwise one more batch would be in memory."""
  import weakref

  class Thing:
    pass

  made = prefetch.make_ahead(lambda step: Thing(), range(9), threads=1)
  taken = weakref.ref(next(made))
  next(made)
  assert taken() is None
  made.close()
