"""The whole platform of one stage: its stacks, in the order in which they can be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import App, Tags

from infra import local, nag
from infra.contexts.catalog import CatalogStack
from infra.contexts.context import ContextStack
from infra.contexts.customers import CustomersStack
from infra.contexts.inventory import InventoryStack
from infra.contexts.notifications import NotificationsStack
from infra.contexts.orders import OrdersStack
from infra.contexts.payments import PaymentsStack
from infra.contexts.reference import ReferenceStack
from infra.contexts.shipping import ShippingStack
from infra.settings import Stage
from infra.stacks.data import DataStack
from infra.stacks.edge import EdgeStack
from infra.stacks.entry import EntryStack
from infra.stacks.firewall import FirewallStack
from infra.stacks.observe import ObserveStack

CONTEXT_STACKS: tuple[type[ContextStack], ...] = (
    OrdersStack,
    InventoryStack,
    PaymentsStack,
    ShippingStack,
    NotificationsStack,
    CatalogStack,
    CustomersStack,
    ReferenceStack,
)


@dataclass(frozen=True)
class Platform:
    """The stacks of a stage."""

    data: DataStack
    edge: EdgeStack
    contexts: Mapping[str, ContextStack]
    observe: ObserveStack


def build(app: App, stage: Stage, assets: Mapping[str, Path]) -> Platform:
    """Make every stack of ``stage`` in ``app``.

    The order matters for the first deployment only, when an SSM parameter must be there before it is read.

    Parameters
    ----------
    assets
        Folders of staged code: the layers ``dependencies`` and ``commerce``, and one a context.
    """
    data = DataStack(app, stage=stage)
    edge = EdgeStack(app, stage=stage)
    edge.add_stack_dependency(data)
    contexts = {stack.context: stack(app, stage=stage, assets=assets) for stack in CONTEXT_STACKS}
    for context in contexts.values():
        context.add_stack_dependency(edge)
    alarms = [(edge.stack_name, edge.alarms), *((one.stack_name, one.alarms) for one in contexts.values())]
    observe = ObserveStack(
        app,
        stage=stage,
        contexts={name: context.parts for name, context in contexts.items()},
        waking=[stack for stack, made in alarms if made.waking],
    )
    observe.add_stack_dependency(edge)
    if stage.entry and not stage.emulated:
        entry = EntryStack(app, stage=stage, entry=stage.entry)
        # The API takes a new value of the entry's header before CloudFront sends it.
        entry.add_stack_dependency(edge)
        # A firewall cannot go before the distribution that it stands before.
        entry.add_stack_dependency(FirewallStack(app, stage=stage, entry=stage.entry))
    Tags.of(app).add("platform", "commerce")
    Tags.of(app).add("stage", stage.name)
    if stage.emulated:
        local.adapt(app)
    nag.check(app, stage.name)
    return Platform(data, edge, contexts, observe)
