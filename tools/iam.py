"""Which rights the deployed roles hold, which of them were made use of, and which were missing.

Reads the roles through IAM's own API and what the local cloud decided from its journal (`tools.localcloud.rights`).
``python -m tools.iam`` compares the two on a running cloud; ``tests/e2e/test_rights.py`` does at the end of the suite.
See ``docs/operations/iam.md``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tools.client import Deployment


@dataclass(frozen=True, order=True)
class Right:
    """That somebody may do something.

    Attributes
    ----------
    who
        Function, state machine or rule, without the stage's prefix.
    action
        ``service:Action``.
    resource
        ARN, in a policy with ``*``.
    """

    who: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.who}: {self.action} on {self.resource.split(':', 5)[-1]}"

    def covers(self, asked: Right) -> bool:
        """Whether this right of a policy allows what was asked."""
        return (self.who, self.action) == (asked.who, asked.action) and fnmatchcase(asked.resource, self.resource)


REPAIR = "repairs what a crash left behind: tools.sim and the tests of the sweep reach it"

UNSEEN: Mapping[tuple[str, str], str] = {
    ("*", "logs:*"): "Lambda and Step Functions log with the role; the emulator keeps logs without a call",
    ("*", "xray:*"): "Lambda and Step Functions trace with the role; the emulator does not",
    ("orders-ops", "sqs:ReceiveMessage"): "what StartMessageMoveTask does with its caller's role",
    ("orders-ops", "sqs:DeleteMessage"): "what StartMessageMoveTask does with its caller's role",
    ("orders-ops", "sqs:SendMessage"): "what StartMessageMoveTask does with its caller's role",
    ("customers-api", "kms:Decrypt"): "another process than the one that sealed a profile opens it",
    ("inventory-api", "dynamodb:DeleteItem"): "the place in a queue of an order that no longer waits is dropped",
    ("inventory-sweep", "dynamodb:*"): REPAIR,
    ("notifications-inbox", "dynamodb:UpdateItem"): "notes that a mail was refused (tests/integration/notifications)",
    ("orders-await-dispatch", "dynamodb:Query"): "an order of more lines than an item holds (tests/integration/orders)",
    ("orders-await-*", "states:SendTaskSuccess"): "the fact comes before the order waits for it (tools.sim)",
    ("orders-sweep", "states:StartExecution"): REPAIR,
    ("payments-settle", "dynamodb:PutItem"): "what a lost event left to be captured (tools.sim)",
    ("payments-sweep", "dynamodb:*Item"): REPAIR,
    ("shipping-warehouse", "dynamodb:DeleteItem"): "a stop overtakes the dispatch (tools.sim)",
    ("shipping-inbox", "dynamodb:UpdateItem"): "the order was stopped before its slips were asked for (tools.sim)",
    ("shipping-inbox", "dynamodb:DeleteItem"): "and a slip had been packed meanwhile (tests/unit/shipping)",
}
"""Rights (who and action, both as patterns) that a run on the local cloud makes no use of, or by chance -> why not."""


def decisions(journal: Path, stage: str) -> tuple[list[Right], list[Right]]:
    """Return what the local cloud allowed and what it refused, each in the order in which it was first asked for."""
    decided: dict[bool, dict[Right, None]] = {True: {}, False: {}}
    for line in journal.read_text(encoding="utf-8").splitlines():
        if '"kind":"right"' in line:
            one = json.loads(line)
            right = Right(one["by"].removeprefix(f"commerce-{stage}-"), one["action"], one["resource"])
            decided[one["allowed"]].setdefault(right)
    return list(decided[True]), list(decided[False])


def roles(deployment: Deployment) -> dict[str, str]:
    """Return who of the stage has which role: function, state machine or rule -> name of its role."""
    prefix, found = f"commerce-{deployment.stage}-", dict[str, str]()
    for page in deployment.client("lambda").get_paginator("list_functions").paginate():
        found |= {one["FunctionName"]: one["Role"] for one in page["Functions"]}
    states, events = deployment.client("stepfunctions"), deployment.client("events")
    for machine in states.list_state_machines()["stateMachines"]:
        described = states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])
        found[machine["name"]] = described["roleArn"]
    bus = deployment.outputs["CommerceBusName"]
    for rule in events.list_rules(EventBusName=bus)["Rules"]:
        for target in events.list_targets_by_rule(EventBusName=bus, Rule=rule["Name"])["Targets"]:
            if "RoleArn" in target:
                found[rule["Name"]] = target["RoleArn"]
    return {name.removeprefix(prefix): arn.rsplit("/", 1)[1] for name, arn in found.items() if name.startswith(prefix)}


def granted(deployment: Deployment) -> set[Right]:
    """Return every right of every role."""
    iam = deployment.client("iam")
    return {
        Right(who, action, resource)
        for who, role in roles(deployment).items()
        for document in documents(iam, role).values()
        for statement in document["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }


def documents(iam: Any, role: str) -> dict[str, dict[str, Any]]:
    """Return the policies of a role by name."""
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}


def unused(rights: Iterable[Right], allowed: Iterable[Right]) -> list[Right]:
    """Return the rights that nothing made use of, without those that `UNSEEN` explains."""
    seen = set(allowed)
    return sorted(
        right
        for right in rights
        if not any(right.covers(one) for one in seen) and not any(_fits(right, who, action) for who, action in UNSEEN)
    )


def needless(rights: Iterable[Right]) -> list[tuple[str, str]]:
    """Return the entries of `UNSEEN` that explain nothing: nobody holds such a right."""
    held = list(rights)
    return [entry for entry in UNSEEN if not any(_fits(right, *entry) for right in held)]


@contextmanager
def without(deployment: Deployment, who: str, action: str) -> Iterator[None]:
    """Take an action out of the role of ``who`` for a while.

    Raises
    ------
    LookupError
        The role has no such action.
    """
    iam, role = deployment.client("iam"), roles(deployment)[who]
    before = documents(iam, role)
    changed = {name: _less(document, action) for name, document in before.items()}
    if changed == before:
        raise LookupError(f"{who} has no {action}")
    try:
        for name, document in changed.items():
            if document["Statement"]:
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
            else:  # a policy has at least one statement
                iam.delete_role_policy(RoleName=role, PolicyName=name)
        yield
    finally:
        for name, document in before.items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def _less(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    kept = [
        {**statement, "Action": [one for one in _listed(statement["Action"]) if one != action]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in kept if statement["Action"]]}


def _fits(right: Right, who: str, action: str) -> bool:
    return fnmatchcase(right.who, who) and fnmatchcase(right.action, action)


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    home = Path(os.environ["LOCALCLOUD_HOME"])
    deployment = Deployment.at(home)
    rights = granted(deployment)
    allowed, refused = decisions(home / "calls.jsonl", deployment.stage)
    for right in sorted(refused):
        print(f"missing  {right}")
    for right in unused(rights, allowed):
        print(f"unused   {right}")
    for who, action in needless(rights):
        print(f"needless {who} {action} in UNSEEN")
    used = sum(any(right.covers(one) for one in allowed) for right in rights)
    print(f"{len(rights)} rights of {len(roles(deployment))} roles, {used} made use of")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
