"""The door to planning: whether a run fits devices that are not here.

The step of the run is compiled for them, and what the compiler says is told:
memory, products, what the devices send to each other; and what to change.
"""

from jaxvision.plan.planning import Plan, plan
from jaxvision.plan.printing import show
from jaxvision.plan.topology import devices

__all__ = ["Plan", "devices", "plan", "show"]
