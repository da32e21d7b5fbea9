"""Starting and stopping: one cloud per home, nothing of another touched, nothing left behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import localcloud_kit as kit
from tools.localcloud.server import LocalCloud, LocalCloudError

pytestmark = pytest.mark.integration


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalCloud, LocalCloud]]:
    clouds = LocalCloud(tmp_path / "one"), LocalCloud(tmp_path / "two")
    yield clouds
    for cloud in clouds:
        if cloud.home.exists():
            cloud.stop()


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_clouds_run_side_by_side_and_end_alone(pair: tuple[LocalCloud, LocalCloud]) -> None:
    one, two = pair
    assert (one.start(), two.start(), one.start()) == (True, True, False)
    assert (
        len({one.endpoint, two.endpoint})
        == len({one.pid(), two.pid()})
        == len({one.access_key_id, two.access_key_id})
        == 2
    )
    kit.queue(one, "mine")
    assert not kit.client(two, "sqs").list_queues().get("QueueUrls")

    kit.function(one, "pid", "import os\n\ndef handler(event, context):\n    return os.getpid()\n")
    worker = kit.invoke(one, "pid")
    assert alive(worker)
    assert one.stop()
    assert kit.until(lambda: not alive(worker))
    assert one.pid() is None
    assert not one.stop()
    assert kit.client(two, "sts").get_caller_identity()["Account"]
    with pytest.raises(LocalCloudError, match="not running"):
        _ = one.endpoint


def test_a_restarted_cloud_is_empty(pair: tuple[LocalCloud, LocalCloud]) -> None:
    cloud, _ = pair
    cloud.start()
    kit.queue(cloud, "left")
    (cloud.home / "deployed").write_text("stamp", encoding="utf-8")
    cloud.stop()
    cloud.start()
    assert not kit.client(cloud, "sqs").list_queues().get("QueueUrls")
    assert not (cloud.home / "deployed").exists()
    assert kit.journal(cloud, action="CreateQueue") == []


def test_a_stale_process_id_is_not_taken_for_the_emulator(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path)
    (tmp_path / "lock").write_text(str(os.getpid()), encoding="utf-8")
    assert cloud.pid() is None
    assert not cloud.stop()


def test_it_listens_on_the_loopback_only(pair: tuple[LocalCloud, LocalCloud]) -> None:
    cloud, _ = pair
    cloud.start()
    others = {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    port = int(cloud.endpoint.rsplit(":", 1)[1])
    for address in others - {"127.0.0.1", "127.0.1.1"}:
        with socket.socket() as probe:
            assert probe.connect_ex((address, port)) != 0


def test_functions_see_nothing_of_this_shell(
    pair: tuple[LocalCloud, LocalCloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, _ = pair
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    cloud.start()
    kit.function(cloud, "env", "import os\n\ndef handler(event, context):\n    return dict(os.environ)\n")
    seen = kit.invoke(cloud, "env")
    assert not {"SECRET_OF_THE_SHELL", "PYTHONPATH"} & seen.keys()
    assert seen["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert seen["AWS_REGION"] == cloud.region


def test_a_failed_start_tells_the_end_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "interpreter"
    broken.write_text("#!/bin/sh\necho the emulator has no heart\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr("tools.localcloud.server.INTERPRETER", broken)
    with pytest.raises(LocalCloudError, match="has no heart"):
        LocalCloud(tmp_path / "home").start()
