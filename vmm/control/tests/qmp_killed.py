#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills one of the two processes of a migration, at every stage of it: the guest goes on in one of them, whole, or a person decides.

    qmp_killed.py DIRTYLAB        prints TAP; status 1 if anything failed
"""
import contextlib
import functools
import sys

import qmp_session
from qmp_migration import digests, poll, set_capability, statuses
from qmp_session import Guest, assert_writes, run_tests
from relay import GO, LOADED, RUNNING, Relay

FRAMES = {"loaded": LOADED, "go": GO, "answer": RUNNING}  # the one that is on its way at that stage


def bring_to(stage, source, destination, path, stream):
    """Begins a migration and returns when it has come as far as `stage`."""
    uri = stream
    relay = None
    if stage in FRAMES:
        relay = Relay(f"{path}.{stage}.relay", stream.removeprefix("unix:"), FRAMES[stage], hold=True)
        relay.start()
        uri = f"unix:{path}.{stage}.relay"
    set_capability(source, "pause-before-switchover", stage == "pre-switchover")
    source.execute("migrate-set-parameters", max_bandwidth=(256 << 10) if stage == "precopy" else 0)
    assert source.execute("migrate", uri=uri) == {}
    if relay:
        assert relay.kept.wait(qmp_session.LIMIT), source.execute("query-migrate")
    elif stage == "completed":
        poll(source, "completed")
        poll(destination, "completed")
    else:
        poll(source, "active" if stage == "precopy" else stage)
        assert poll(destination, "active")


def assert_runs(client):
    assert client.execute("query-status") == {"status": "running", "running": True}
    assert_writes(client)


def kill(guest):
    guest.process.kill()
    guest.process.wait()


def test_killed_source(dirtylab, path, stage, arrives):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
        source, destination = first.connect(), second.connect()
        set_capability(destination, "events")
        bring_to(stage, source, destination, path, stream)
        kill(first)
        if arrives:
            poll(destination, "completed")
            assert_runs(destination)
            return
        while (event := destination.read()):
            destination.events.append(event)
        assert not any(event["event"] == "RESUME" for event in destination.events), destination.events
        assert "completed" not in statuses(destination), destination.events
        assert second.wait() == 1, second.errors
        assert second.errors.startswith("dirtylab: the guest did not come: ") and second.errors.count("\n") == 1, second.errors


def lose_destination(dirtylab, path, source, stage):
    """One attempt whose destination dies; then the guest is here, at the latest when somebody has said so."""
    stream = f"unix:{path}.{stage}.stream"
    with Guest(dirtylab, f"{path}.{stage}", "--incoming", stream) as second:
        bring_to(stage, source, second.connect(), path, stream)
        kill(second)
        info = poll(source, "failed")
        assert info["error-desc"], info
    if stage in ("go", "answer"):
        assert info["x-dirtylab-handover"] == "unresolved", info
        assert source.execute("query-status") == {"status": "finish-migrate", "running": False}
        assert source.execute("cont")["class"] == "GenericError"
        assert source.execute("x-dirtylab-resolve-handover", run=True) == {}
    assert "x-dirtylab-handover" not in source.execute("query-migrate")
    assert_runs(source)


def test_killed_destinations(dirtylab, path):
    """One guest outlives five destinations, and arrives at the sixth; when that dies too, it is gone and does not come back here."""
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, contextlib.ExitStack() as stack:
        source = first.connect()
        for stage in ("precopy", "pre-switchover", "loaded", "go", "answer"):
            lose_destination(dirtylab, path, source, stage)
        last = stack.enter_context(Guest(dirtylab, f"{path}2", "--paused", "--incoming", stream))
        destination = last.connect()
        bring_to("completed", source, destination, path, stream)
        assert digests(source) == digests(destination)
        assert destination.execute("cont") == {}
        assert_runs(destination)
        kill(last)
        assert source.execute("query-status") == {"status": "postmigrate", "running": False}
        assert source.execute("cont")["class"] == "GenericError"
        assert source.execute("x-dirtylab-resolve-handover", run=True)["class"] == "GenericError"


def source_dies(stage, arrives):
    return functools.partial(test_killed_source, stage=stage, arrives=arrives)


TESTS = {
    "the source dies while it sends RAM: the destination says so and runs nothing": source_dies("precopy", False),
    "the source dies with the guest stopped: the destination runs nothing": source_dies("pre-switchover", False),
    "the source dies when all of the guest is there: the destination runs nothing": source_dies("loaded", False),
    "the source dies and its GO with it: the destination runs nothing": source_dies("go", False),
    "the source dies once GO has come: the destination runs the guest": source_dies("answer", True),
    "the source dies when all is over: the destination runs the guest": source_dies("completed", True),
    "destinations die at each stage: the guest goes on, and arrives whole at the next one": test_killed_destinations,
}

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
