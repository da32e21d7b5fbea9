"""Reading synthesised templates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.settings import Stage

ROOT = Path(__file__).parents[2]

Resource = dict[str, Any]


@dataclass
class Synthesised:
    """The templates of one stage.

    Attributes
    ----------
    templates
        Stack name without ``commerce-<stage>-`` -> template.
    """

    stage: Stage
    templates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

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
        """Return the resource that an intrinsic function of ``stack`` refers to."""
        [target] = value.values()
        name = target if isinstance(target, str) else target[0]
        found: Resource = self.templates[stack]["Resources"][name]
        return found


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
