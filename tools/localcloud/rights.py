"""IAM where the emulator does not enforce it, and a record of every right that is asked for.

With ``AUTH=true`` the emulator decides about each call that arrives over HTTP. What one of its services does for
somebody else, inside, it does without asking. `Rights` asks there, too:

* a state machine calls functions with the machine's role;
* a rule starts executions with its target's role, and calls functions and fills queues by their resource policies;
* the API calls functions by their resource policies;
* an event source mapping takes from its source, and sets aside, with the function's role; so does an asynchronous
  invocation. AWS looks when these are made, and refuses to make them.

Nobody is asked about logs and traces: the emulator keeps them without a call.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from tools.localcloud.recorder import Journal

POLLED: Mapping[str, tuple[str, ...]] = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "dynamodb": ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"),
}
"""Service of an event source -> what a mapping does there with the function's role.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html (permissions) and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html.
"""

SET_ASIDE = "sqs:SendMessage"


class Rights:
    """Hooks into the emulator's modules; :meth:`install` is called once, before it serves.

    A journal line of the kind ``right`` says the first time that ``by`` (a function, a state machine, a rule, the API)
    asked for ``action`` on ``resource``, and whether that was ``allowed``.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen: set[tuple[str, str, str, bool]] = set()
        self._guard = threading.Lock()
        self._machine: ContextVar[str] = ContextVar("machine")
        self._iam: Any = importlib.import_module("ministack.core.iam_evaluator")
        self._account: Any = importlib.import_module("ministack.core.responses")
        self._sessions: Any = importlib.import_module("ministack.services.sts")._sessions
        self._functions: Any = importlib.import_module("ministack.services.lambda_svc")
        self._queues: Any = importlib.import_module("ministack.services.sqs")
        self._states: Any = importlib.import_module("ministack.services.stepfunctions")
        self._buses: Any = importlib.import_module("ministack.services.eventbridge")
        self._apis: Any = importlib.import_module("ministack.services.apigateway")
        self._made: Any = importlib.import_module("ministack.services.cloudformation.provisioners")

    def install(self) -> None:
        self._iam.enforce = self._enforced(self._iam.enforce)
        self._states._execute_task = self._task(self._states._execute_task)
        self._states._call_lambda = self._called(self._states._call_lambda)
        self._buses._invoke_target = self._delivered(self._buses._invoke_target)
        self._apis._invoke_lambda_proxy = self._answered(self._apis._invoke_lambda_proxy)
        for kind, check in (("EventSourceMapping", self._polls), ("EventInvokeConfig", self._sets_aside)):
            handlers = self._made._RESOURCE_HANDLERS[f"AWS::Lambda::{kind}"]
            handlers["create"] = self._checked(handlers["create"], check)

    # ---- calls over HTTP -----------------------------------------------------------------------------------------

    def _enforced(self, enforce: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
            denied = enforce(key, action, service, region, resource_arn=resource_arn, **more)
            session = self._sessions.get(key)
            if session is not None:
                self._note(session["Arn"].rpartition("/")[2], action, resource_arn, allowed=denied is None)
            return denied

        return recorded

    # ---- state machines ------------------------------------------------------------------------------------------

    def _task(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def remembered(state: Any, given: Any, execution: Any, context: Any) -> Any:
            token = self._machine.set(context["StateMachine"]["Id"])
            try:
                return execute(state, given, execution, context)
            finally:
                self._machine.reset(token)

        return remembered

    def _called(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(function: str, event: Any) -> Any:
            machine = self._machine.get()
            role = self._states._state_machines.get(machine, {}).get("roleArn", "")
            by = machine.rpartition(":")[2]
            if not self._role_may(by, role, "lambda:InvokeFunction", function):
                message = f"{role} is not authorized to perform: lambda:InvokeFunction on resource: {function}"
                raise self._states._ExecutionError("Lambda.AWSLambdaException", message)
            return call(function, event)

        return asked

    # ---- rules and the API ---------------------------------------------------------------------------------------

    def _delivered(self, deliver: Callable[..., Any]) -> Callable[..., Any]:
        def asked(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> Any:
            arn = target["Arn"]
            if self._may_be_target(arn, arn.split(":")[2], target.get("RoleArn", ""), rule):
                return deliver(target, event, rule, view)
            return None

        return asked

    def _may_be_target(self, arn: str, service: str, role: str, rule: Mapping[str, Any]) -> bool:
        by, source, principal = rule["Name"], rule["Arn"], "events.amazonaws.com"
        match service:
            case "states":
                return self._role_may(by, role, "states:StartExecution", arn)
            case "sqs":
                policy = (self._queues._queue_by_arn(arn) or {}).get("attributes", {}).get("Policy")
                return self._policy_allows(by, policy, principal, SET_ASIDE, arn, source)
            case "lambda":
                return self._policy_allows(by, self._policy_of(arn), principal, "lambda:InvokeFunction", arn, source)
        return True

    def _answered(self, answer: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(
            integration: dict[str, Any], api: str, stage: str, path: str, method: str, *rest: Any, **more: Any
        ) -> Any:
            function = self._apis._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
            where = f"{self._account.get_region()}:{self._account.get_account_id()}"
            # As it stands in the URL: a wildcard of a policy does not reach over a line's end in a decoded path.
            source = f"arn:aws:execute-api:{where}:{api}/{stage}/{method}{quote(path)}"
            policy, principal = self._policy_of(function), "apigateway.amazonaws.com"
            if self._policy_allows("api", policy, principal, "lambda:InvokeFunction", function, source):
                return await answer(integration, api, stage, path, method, *rest, **more)
            return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'

        return asked

    # ---- what works for a function -------------------------------------------------------------------------------

    def _checked(self, create: Callable[..., Any], check: Callable[[str, str, Mapping[str, Any]], None]) -> Any:
        def checked(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            _, config, name = self._functions._get_func_record_for_ref(properties["FunctionName"])
            check(name, (config or {}).get("Role", ""), properties)
            return create(logical_id, properties, stack)

        return checked

    def _polls(self, name: str, role: str, properties: Mapping[str, Any]) -> None:
        source = properties["EventSourceArn"]
        for action in POLLED.get(source.split(":")[2], ()):
            self._insist(name, role, action, source)
        self._sets_aside(name, role, properties)

    def _sets_aside(self, name: str, role: str, properties: Mapping[str, Any]) -> None:
        failures = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if failures:
            self._insist(name, role, SET_ASIDE, failures)

    def _insist(self, by: str, role: str, action: str, resource: str) -> None:
        if not self._role_may(by, role, action, resource):
            raise ValueError(f"the execution role of {by} does not have permissions to call {action} on {resource}")

    # ---- decisions -----------------------------------------------------------------------------------------------

    def _role_may(self, by: str, role: str, action: str, resource: str) -> bool:
        account, name = self._account.get_account_id(), role.rpartition("/")[2]
        context = self._iam.EvalContext(
            principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/{by}",
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=self._account.get_region(),
        )
        decided = self._iam.evaluate(context, self._iam._gather_role_policies(name, account))
        return self._note(by, action, resource, allowed=decided.decision == "Allow")

    def _policy_of(self, function: str) -> Any:
        found, _, _ = self._functions._get_base_func_record_for_ref(function)
        return (found or {}).get("policy")

    def _policy_allows(self, by: str, policy: Any, service: str, action: str, resource: str, source: str) -> bool:
        context = self._iam.EvalContext(
            principal_arn="*",
            principal_type="Service",
            principal_account="",
            action=action,
            resource_arn=resource,
            region=self._account.get_region(),
            secure_transport=True,
            service_context={"aws:sourcearn": source, "aws:sourceaccount": self._account.get_account_id()},
        )
        decided = self._iam.evaluate_resource_policy(policy, context, service=service)
        return self._note(by, action, resource, allowed=decided.decision == "Allow")

    def _note(self, by: str, action: str, resource: str, *, allowed: bool) -> bool:
        key = (by, action, resource, allowed)
        with self._guard:
            new = key not in self._seen
            self._seen.add(key)
        if new:
            self._journal.write("right", by=by, action=action, resource=resource, allowed=allowed)
        return allowed
