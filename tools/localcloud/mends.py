"""Where the emulator falls short of AWS: each difference, and the lines that take it away.

A mend replaces a piece of one function's source with another before the emulator starts. It insists on finding the
piece exactly once, so that a version in which upstream changed the place is noticed at start and not in a run.
``tests/integration/test_localcloud_mends.py`` (of IAM: ``test_localcloud_rights.py``) shows for each mend that it is
needed and that it works.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import sys
import textwrap
from dataclasses import dataclass


class MendDoesNotFit(Exception):
    """The emulator's source is not what the mend was written for: look at what upstream changed."""


@dataclass(frozen=True)
class Mend:
    """One difference from AWS and its repair.

    Parameters
    ----------
    name
        What the mend is called in tests and in ``LOCALCLOUD_WITHOUT``.
    why
        What AWS does and the emulator does not.
    module, target
        Where the piece stands: a function, ``Class.method``, or a module-level string.
    pieces
        Pairs of text, each found exactly once in the target's source (its first line unindented) and replaced.
    """

    name: str
    why: str
    module: str
    target: str
    pieces: tuple[tuple[str, str], ...]


# A line a handler cannot print by accident: what the worker writes to its log after each invocation.
_END_OF_LOG = "\\x1eend of log"

MENDS: tuple[Mend, ...] = (
    Mend(
        name="error_type_in_worker",
        why=(
            "AWS reports the class name of a function's exception, and keeps the execution environment after it. "
            "The emulator's worker says only the message, and is killed. Here the worker answers a raised exception "
            "as a result that carries the type; error_type_in_answer turns it back into an error."
        ),
        module="ministack.core.lambda_runtime",
        target="_PYTHON_WORKER_SCRIPT",
        pieces=(
            (
                """json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()})""",
                """json.dumps({"status": "ok", "raised": {"errorType": type(e).__name__, """
                """"errorMessage": str(e), "stackTrace": traceback.format_exc().splitlines()}})""",
            ),
        ),
    ),
    Mend(
        name="error_type_in_answer",
        why="The other half of error_type_in_worker: errorType is the exception's class, not Runtime.HandlerError.",
        module="ministack.services.lambda_svc",
        target="_execute_function_warm",
        pieces=(
            (
                """        if result.get("status") == "ok":\n""",
                """        if "raised" in result:\n"""
                """            raised = result["raised"]\n"""
                """            told = "\\n".join(filter(None, [result.get("log", ""), *raised["stackTrace"]]))\n"""
                """            return {"body": raised, "error": True, "function_error": "Unhandled", "log": told}\n"""
                """        if result.get("status") == "ok":\n""",
            ),
        ),
    ),
    Mend(
        name="callback_task_fails",
        why=(
            "On AWS a .waitForTaskToken task fails when the function it calls raises. The emulator swallows the error "
            "and waits out the task's timeout."
        ),
        module="ministack.services.stepfunctions",
        target="_invoke_with_callback",
        pieces=(
            (
                """        except _ExecutionError:\n            pass\n""",
                """        except _ExecutionError:\n            _task_tokens.pop(token, None)\n            raise\n""",
            ),
        ),
    ),
    Mend(
        name="task_token_length",
        why=(
            "A task token of AWS is much longer (the API allows 2,048 characters) than the emulator's 36, so that "
            "an item that holds one would be counted too small. It also says what it belongs to: see task_token_right."
        ),
        module="ministack.services.stepfunctions",
        target="_execute_task",
        pieces=(
            (
                """        ctx["Task"] = {"Token": new_uuid()}\n""",
                """        of = ctx["StateMachine"]["Id"].encode().hex()\n"""
                """        ctx["Task"] = {"Token": f"{new_uuid()}.{of}.".ljust(1024, "A")}\n""",
            ),
        ),
    ),
    Mend(
        name="task_token_right",
        why=(
            "Whether a caller may answer a task is decided on the ARN of its state machine (aws/aws-cdk pull request "
            "8486 tried it; a denial names that ARN). The emulator decides on *. Needs task_token_length."
        ),
        module="ministack.core.iam_actions",
        target="extract_resource_arn",
        pieces=(
            (
                """        arn = _safe_json_field(body, "activityArn")\n""",
                """        token = _safe_json_field(body, "taskToken").split(".")\n"""
                """        if len(token) == 3:\n"""
                """            return bytes.fromhex(token[1]).decode()\n"""
                """        arn = _safe_json_field(body, "activityArn")\n""",
            ),
        ),
    ),
    Mend(
        name="message_move_right",
        why=(
            "Whether a caller may redrive a dead-letter queue is decided on that queue "
            "(https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html). The emulator, "
            "which does not know the action, decides on *."
        ),
        module="ministack.core.iam_actions",
        target="extract_resource_arn",
        pieces=(
            (
                """        queue_url = _param(body, query_params, "QueueUrl")\n        if not queue_url:\n""",
                """        queue_url = _param(body, query_params, "QueueUrl")\n"""
                """        if source := _param(body, query_params, "SourceArn"):\n"""
                """            return source\n        if not queue_url:\n""",
            ),
        ),
    ),
    Mend(
        name="mail_right",
        why=(
            "Whether a caller may send mail is decided on the ARN of the sender's identity, which a denial names "
            "(https://repost.aws/knowledge-center/amazon-ses-send-email-unauthorized-error). The emulator decides on *."
        ),
        module="ministack.core.iam_actions",
        target="_ses_v2_resource_arn",
        pieces=(
            (
                """    parts = [p for p in path.split("/") if p]\n""",
                """    parts = [p for p in path.split("/") if p]\n"""
                """    if parts == ["v2", "email", "outbound-emails"]:\n"""
                """        from email.utils import parseaddr\n\n"""
                """        sender = parseaddr(_safe_json_field(body, "FromEmailAddress"))[1]\n"""
                """        return f"arn:aws:ses:{region}:{account_id}:identity/{sender}"\n""",
            ),
        ),
    ),
    Mend(
        name="loopback_is_private",
        why=(
            "Queues refuse what comes without TLS. The emulator is spoken to in plain HTTP on the machine's own "
            "loopback, and counts that as insecure."
        ),
        module="ministack.core.iam_evaluator",
        target="pin_request_origin",
        pieces=(("_request_origin.set((source_ip, secure_transport))", "_request_origin.set((source_ip, True))"),),
    ),
    Mend(
        name="secret_by_arn",
        why="Ref of a secret is its ARN, with six characters that AWS adds; the emulator's is its name.",
        module="ministack.services.cloudformation.engine",
        target="_resolve_refs",
        pieces=(
            (
                """            return resources[ref]["PhysicalResourceId"]\n        return ref\n""",
                """            if resources[ref].get("ResourceType") == "AWS::SecretsManager::Secret":\n"""
                """                return resources[ref]["Attributes"]["Id"]\n"""
                """            return resources[ref]["PhysicalResourceId"]\n        return ref\n""",
            ),
        ),
    ),
    Mend(
        name="task_input_in_history",
        why="AWS's history has what a state passed to its task; the emulator's has only what the state was given.",
        module="ministack.services.stepfunctions",
        target="_execute_task",
        pieces=(
            (
                """                    "resourceType": "lambda" if "lambda" in resource else "states",\n""",
                """                    "resourceType": "lambda" if "lambda" in resource else "states",\n"""
                """                    "parameters": json.dumps(effective),\n""",
            ),
        ),
    ),
    Mend(
        name="caller_in_user_agent",
        why="The function's name goes into the SDK's user agent, so that the recorder can tell who made a call.",
        module="ministack.core.lambda_runtime",
        target="_PYTHON_WORKER_SCRIPT",
        pieces=(
            (
                """    os.environ.update(env)\n""",
                """    os.environ.update(env)\n"""
                """    os.environ.setdefault("AWS_SDK_UA_APP_ID", init.get("function_name", "")[:50])\n""",
            ),
        ),
    ),
    Mend(
        name="end_of_log_in_worker",
        why=(
            "After each invocation the emulator waits 50 ms for log lines that may never come, which every invocation "
            "of a silent function pays. Here the worker says where its log ends; end_of_log_awaited waits for that."
        ),
        module="ministack.core.lambda_runtime",
        target="_PYTHON_WORKER_SCRIPT",
        pieces=(
            (
                """        _real_stdout.flush()\n\nrun()\n""",
                f"""        sys.stderr.write("{_END_OF_LOG}\\n")\n"""
                """        sys.stderr.flush()\n        _real_stdout.flush()\n\nrun()\n""",
            ),
        ),
    ),
    Mend(
        name="end_of_log_awaited",
        why="The other half of end_of_log_in_worker.",
        module="ministack.core.lambda_runtime",
        target="Worker._drain_stderr_bounded",
        pieces=(
            (
                """            lines.append(self._stderr_queue.get_nowait())\n"""
                """            last_received_at = time.time()\n""",
                """            line = self._stderr_queue.get(timeout=hard_cap - elapsed)\n"""
                f"""            if line == "{_END_OF_LOG}":\n                break\n            lines.append(line)\n""",
            ),
        ),
    ),
    Mend(
        name="no_body_is_empty",
        why="An HTTP API takes an answer whose body is null (a 304) as one without a body; the emulator fails at it.",
        module="ministack.services.apigateway",
        target="_invoke_lambda_proxy",
        pieces=(
            (
                """resp_body = lambda_response.get("body", "")\n""",
                """resp_body = lambda_response.get("body") or ""\n""",
            ),
        ),
    ),
    Mend(
        name="stage_variables_in_event",
        why="An HTTP API hands its stage's variables over with the event (payload format 2.0); the emulator does not.",
        module="ministack.services.apigateway",
        target="_invoke_lambda_proxy",
        pieces=(
            (
                """    if req_body is not None:\n""",
                """    if _get_stage_variables(api_id, stage):\n"""
                """        event["stageVariables"] = _get_stage_variables(api_id, stage)\n"""
                """    if req_body is not None:\n""",
            ),
        ),
    ),
    Mend(
        name="embedded_metrics",
        why="CloudWatch Logs takes metrics out of what functions log in the embedded metric format.",
        module="ministack.services.lambda_svc",
        target="_emit_lambda_logs",
        pieces=(
            (
                """        from ministack.services import cloudwatch_logs as _cwl\n""",
                """        from ministack.services import cloudwatch as _cw, cloudwatch_logs as _cwl\n"""
                """        from tools.localcloud.metrics import publish_embedded\n\n"""
                """        publish_embedded(log_text or '', _cw.record_metric)\n""",
            ),
        ),
    ),
    Mend(
        name="replay_is_filtered",
        why="A replay goes to the rules that it names and to no other; the emulator gives it to all that match.",
        module="ministack.services.eventbridge",
        target="_start_replay",
        pieces=(
            (
                """                replayed["ReplayName"] = name\n""",
                """                replayed["ReplayName"] = name\n"""
                """                replayed["_FilterArns"] = dest.get("FilterArns")\n""",
            ),
        ),
    ),
    Mend(
        name="alarm_of_its_dimensions",
        why=(
            "An alarm is on the metric with its dimensions, not on all of that name; and when there is no data, it "
            "does what TreatMissingData says: the emulator leaves it as it was."
        ),
        module="ministack.services.cloudwatch",
        target="_evaluate_alarm",
        pieces=(
            (
                """    for (k_ns, k_mn, _), pts in _metrics.items():\n        if k_ns == ns and k_mn == mn:\n""",
                """    wanted = alarm.get("Dimensions") or {}\n"""
                """    wanted = _dims_key(wanted if isinstance(wanted, dict) else _dims_from_list(wanted))\n"""
                """    for (k_ns, k_mn, k_dk), pts in _metrics.items():\n"""
                """        if k_ns == ns and k_mn == mn and k_dk == wanted:\n""",
            ),
            ("""    if not all_pts:\n        return\n\n""", ""),
            (
                """    if not recent:\n        return\n""",
                """    absent = alarm.get("TreatMissingData")\n"""
                """    if not recent and absent not in ("breaching", "notBreaching"):\n        return\n""",
            ),
            (
                """    val = _stat_value(stats, stat_name, recent)\n    if val is None:\n        return\n""",
                """    val = _stat_value(stats, stat_name, recent) if recent else float("nan")\n"""
                """    if val is None:\n        return\n""",
            ),
            (
                """    breaching = cmp.get(op, False)\n""",
                """    breaching = cmp.get(op, False) if recent else absent == "breaching"\n""",
            ),
        ),
    ),
    Mend(
        name="replay_filter_is_kept",
        why="The other half of replay_is_filtered.",
        module="ministack.services.eventbridge",
        target="_dispatch_event",
        pieces=(
            (
                """        if not rule.get("EventPattern"):\n            continue\n""",
                """        if not rule.get("EventPattern"):\n            continue\n"""
                """        if event.get("_FilterArns") and rule["Arn"] not in event["_FilterArns"]:\n"""
                """            continue\n""",
            ),
        ),
    ),
    Mend(
        name="alarms_looked_at",
        why="Alarms are evaluated all the time; the emulator does it only when a client puts data.",
        module="ministack.services.cloudwatch",
        target="_describe_alarms",
        pieces=(
            (
                """    if is_cbor or is_json:\n        names = cbor_data.get("AlarmNames", [])\n""",
                """    _evaluate_all_alarms()\n"""
                """    if is_cbor or is_json:\n        names = cbor_data.get("AlarmNames", [])\n""",
            ),
        ),
    ),
    Mend(
        name="layer_unpacked_once",
        why="The emulator unpacks every layer for every process: 40 MB and 0.3 s of each cold start.",
        module="ministack.core.lambda_runtime",
        target="Worker._spawn",
        pieces=(
            (
                """            if layer_data:\n                layer_dir = os.path.join(""",
                """            if layer_data:\n                from tools.localcloud.layers import unpacked_once\n\n"""
                """                layers_dirs.append(unpacked_once(layer_data))\n"""
                """                continue\n                layer_dir = os.path.join(""",
            ),
        ),
    ),
)


def _source(module: object, target: str) -> tuple[object, str, str]:
    owner_name, _, name = target.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    subject = getattr(owner, name)
    source = subject if isinstance(subject, str) else textwrap.dedent(inspect.getsource(subject))
    return owner, name, source


def apply(mend: Mend) -> None:
    """Replace the mend's target in the running emulator.

    Raises
    ------
    MendDoesNotFit
        A piece is not in the target exactly once.
    """
    module = importlib.import_module(mend.module)
    owner, name, source = _source(module, mend.target)
    text = isinstance(getattr(owner, name), str)
    for old, new in mend.pieces:
        if source.count(old) != 1:
            message = f"{mend.name}: {mend.module}.{mend.target} has the text to mend {source.count(old)} times:\n{old}"
            raise MendDoesNotFit(message)
        source = source.replace(old, new)
    if text:
        setattr(owner, name, source)
        return
    file = f"<mend {mend.name}>"
    # Where `inspect` looks for source: another mend of the same function starts from this one's.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, object] = {}
    exec(compile(source, file, "exec"), vars(module), scope)  # noqa: S102 - upstream's source, mended
    replaced = getattr(owner, name)
    setattr(owner, name, scope[name])
    for other in list(sys.modules.values()):  # that have it under its name, too
        if other.__name__.startswith(f"{mend.module.partition('.')[0]}.") and vars(other).get(name) is replaced:
            setattr(other, name, scope[name])
