"""Planning: whether a run fits on devices that this machine does not have.

The training step is compiled for these devices. The plan has memory, FLOPs and
communication of the compiled step, and changes that make it fit.
"""

from jaxvision.plan.planning import Plan, plan
from jaxvision.plan.printing import show
from jaxvision.plan.topology import devices

__all__ = ["Plan", "devices", "plan", "show"]
