"""Reading synthesised templates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.settings import Stage

ROOT = Path(__file__).parents[2]

Resource = dict[str, Any]


@dataclass(frozen=True)
class Synthesised:
    """The templates of one stage.

    Attributes
    ----------
    templates
        Stack name without ``commerce-<stage>-`` -> template.
    app
        That they come from.
    """

    stage: Stage
    templates: Mapping[str, Mapping[str, Any]]
    app: App

    def resources(self, kind: str) -> Iterator[tuple[str, str, Resource]]:
        """Return every resource of a CloudFormation type as (stack, logical id, resource)."""
        for stack, template in self.templates.items():
            for name, resource in template["Resources"].items():
                if resource["Type"] == kind:
                    yield stack, name, resource

    def named(self, kind: str, attribute: str) -> dict[str, Resource]:
        """Return the properties of every resource of a type by its physical name, without the prefix."""
        prefix = f"commerce-{self.stage.name}-"
        found: dict[str, Resource] = {}
        for _, _, resource in self.resources(kind):
            name = resource["Properties"][attribute].removeprefix(prefix)
            assert name not in found, f"two of {name}"
            found[name] = resource["Properties"]
        return found

    def refer(self, stack: str, value: Any) -> Resource:
        """Return the one resource that an intrinsic function of ``stack`` refers to, however deep."""
        resources = self.templates[stack]["Resources"]
        [name] = {name for name in _referred(value) if name in resources}
        found: Resource = resources[name]
        return found


def _referred(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": name}:
            yield name
        case {"Fn::GetAtt": [name, _]}:
            yield name
        case dict():
            for one in value.values():
                yield from _referred(one)
        case list():
            for one in value:
                yield from _referred(one)


def flat(value: Any) -> str:
    """Return a property with its intrinsic functions as text: ``arn:${AWS::Partition}:sqs:...``."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(flat(part) for part in parts)
    return json.dumps(value, sort_keys=True)
