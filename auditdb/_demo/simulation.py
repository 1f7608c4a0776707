"""A licensing platform at work: shifts of its vendors, and a bulk import, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditdb._demo import licenses, office, sales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditdb._demo.world import Vendor, World

_OF_VENDOR = (
    office.colleagues,
    office.templates,
    office.notifications,
    office.products,
    sales.by_phone,
    sales.try_out,
    sales.refund,
    sales.synchronize,
    licenses.night,
)
_OF_LICENSE = (licenses.features, licenses.custom_fields, licenses.support, licenses.usage)
_OF_CUSTOMER = (sales.hand_over, licenses.assignments)
_PARTS_OF_IMPORT = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much work there is."""

    shifts: int = 10
    """How often each vendor does everything that it does."""
    imports: int = 1
    """How often the first vendor imports customers."""
    customers: int = 10_000
    """How many customers an import brings, each with an order and a license."""

    @property
    def import_length(self) -> int:
        """The length of a part of an import."""
        return 1 + self.customers // 200

    @property
    def length(self) -> int:
        """The sum of the lengths of all steps."""
        shift = 1 + len(_OF_VENDOR) + len(_OF_LICENSE) + len(_OF_CUSTOMER)
        importing = self.imports * _PARTS_OF_IMPORT * self.import_length
        return 2 + importing + self.shifts * len(office.VENDORS) * shift


def scaled(scale: int) -> Plan:
    """Return the plan of the demo, with `scale` times the work."""
    plan = Plan()
    return Plan(plan.shifts * scale, plan.imports * scale, plan.customers)


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work that was done."""

    what: str
    """What it belonged to, in a few words."""
    length: int = 1
    """How long it took, as a part of the length of the plan."""


def run(world: World, plan: Plan) -> Iterator[Step]:
    """Do the work of the plan, and yield after each step of it."""
    vendors = office.vendors(world)
    yield Step(f"Import of {plan.customers:,} customers")
    for _ in range(plan.imports):
        for _ in sales.import_customers(world, vendors[0], plan.customers):
            yield Step(f"Import of {plan.customers:,} customers", plan.import_length)
    sales.correct_by_hand(world, vendors[0])
    yield Step("Shifts")
    for number in range(1, plan.shifts + 1):
        # The first vendor comes last: its log is the one shown.
        for vendor in reversed(vendors):
            for _ in _shift(world, vendor):
                yield Step(f"Shift {number} of {plan.shifts}")


def _shift(world: World, vendor: Vendor) -> Iterator[None]:
    sale = sales.checkout(world, vendor)
    yield
    scenes = [
        *(scene(world, vendor) for scene in _OF_VENDOR),
        *(scene(world, vendor, sale) for scene in _OF_LICENSE),
        *(scene(world, sale) for scene in _OF_CUSTOMER),
    ]
    # People do not wait for each other: a transaction of this one, then one of that one.
    while scenes:
        scene = world.random.choice(scenes)
        try:
            next(scene)
        except StopIteration:
            scenes.remove(scene)
            yield
