#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Migrates between two `dirtylab boot` processes as a client of QEMU's would: capabilities, parameters, migrate, poll, look at both sides.

    qmp_migration.py DIRTYLAB        prints TAP; status 1 if anything failed
"""
import json
import os
import sys
import time

import qmp_session
from qmp_session import Guest, assert_writes, run_tests
from relay import GO, RUNNING, Relay

RAM_BYTES = 32 << 20


def poll(client, *ends):
    end = time.monotonic() + qmp_session.LIMIT
    while (info := client.execute("query-migrate"))["status"] not in ends:
        assert info["status"] not in ("failed", "cancelled", "completed"), info
        assert time.monotonic() < end, info
        time.sleep(0.02)
    return info


def set_capability(client, name, state=True):
    answer = client.execute("migrate-set-capabilities", capabilities=[{"capability": name, "state": state}])
    assert answer == {}, answer


def digests(client):
    return client.execute("x-dirtylab-ram-digest")["digests"]


def active_tracker(client):
    return next(entry["tracker"] for entry in client.execute("x-dirtylab-query-trackers") if entry["active"])


def statuses(client):
    return [event["data"]["status"] for event in client.events if event["event"] == "MIGRATION"]


def test_like_qemu(dirtylab, path):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1", "--vcpus", "2") as first:
        with Guest(dirtylab, f"{path}2", "--vcpus", "2", "--paused", "--incoming", "defer") as second:
            source, destination = first.connect(), second.connect()
            assert source.execute("query-migrate") == {"status": "none"}
            assert destination.execute("query-status") == {"status": "inmigrate", "running": False}
            for client in (source, destination):
                set_capability(client, "events")
            assert destination.execute("migrate-incoming", uri=stream) == {}
            assert source.execute("migrate-set-parameters", max_bandwidth=0, downtime_limit=500) == {}
            assert source.execute("migrate", uri=stream) == {}
            info = poll(source, "completed")
            assert info["ram"]["total"] == RAM_BYTES and info["ram"]["remaining"] == 0, info
            assert info["ram"]["page-size"] == 4096 and info["ram"]["dirty-sync-count"] >= 2, info
            assert info["ram"]["normal-bytes"] == info["ram"]["normal"] * 4096, info
            assert info["total-time"] >= info["downtime"] >= 0, info
            assert source.execute("query-status") == {"status": "postmigrate", "running": False}
            poll(destination, "completed")
            assert destination.execute("query-status") == {"status": "paused", "running": False}
            assert digests(source) == digests(destination)
            source.execute("query-status")  # whatever was on its way is here
            assert statuses(source) == ["setup", "active", "device", "completed"], source.events
            assert [event["data"]["pass"] for event in source.events if event["event"] == "MIGRATION_PASS"][0] == 1, source.events
            assert sum(event["event"] == "STOP" for event in source.events) == 1
            assert statuses(destination)[-1] == "completed", destination.events
            assert source.execute("cont")["class"] == "GenericError"  # it runs on the other side
            assert source.execute("migrate", uri=stream)["class"] == "GenericError"
            assert destination.execute("cont") == {}
            destination.wait_event("RESUME")
            assert_writes(destination)
            for client, guest in ((source, first), (destination, second)):
                client.execute("quit")
                assert guest.wait() == 0


def test_there_and_back(dirtylab, path):
    """Each time to a fresh process, with the address on its command line, and running at once."""
    guest = Guest(dirtylab, f"{path}0")
    client = guest.connect()
    for hop, tracker in enumerate(("kvm-bitmap", "uffd-wp", "kvm-bitmap-clear"), 1):
        stream = f"unix:{path}.{hop}"
        following = Guest(dirtylab, f"{path}{hop}", "--incoming", stream)
        with guest:
            heir = following.connect()
            assert "from" in client.execute("x-dirtylab-set-tracker", tracker=tracker)
            assert client.execute("migrate", uri=stream) == {}
            assert poll(client, "completed")["x-dirtylab-tracker"] == tracker
            poll(heir, "completed")
            assert heir.execute("query-status") == {"status": "running", "running": True}
            client.execute("quit")
            assert guest.wait() == 0
        guest, client = following, heir
    with guest:
        assert_writes(client)


def migrate_while_moving(dirtylab, path, *options):
    """The tracker changes all the time, and the rate is measured, while the guest is on its way; then all RAM is compared."""
    stream = f"unix:{path}.stream"
    load = "pattern=random pages=1500 passes=0 vcpus=2 quiet"
    with Guest(dirtylab, f"{path}1", "--vcpus", "2", *options, append=load) as first, \
            Guest(dirtylab, f"{path}2", "--vcpus", "2", *options, "--paused", "--incoming", stream, append=load) as second:
        source, destination, other = first.connect(), second.connect(), first.connect()
        usable = [entry["tracker"] for entry in source.execute("x-dirtylab-query-trackers")
                  if entry["supported"] and entry["tracker"] != "none"]
        assert len(usable) > 1, usable
        # so short a stop fits nothing but a guest that writes next to nothing
        source.execute("migrate-set-parameters", max_bandwidth=12 << 20, downtime_limit=1)
        set_capability(source, "pause-before-switchover")
        assert source.execute("migrate", uri=stream) == {}
        poll(source, "active")
        moves = rates = 0
        deadline = time.monotonic() + qmp_session.LIMIT
        while (info := source.execute("query-migrate"))["status"] == "active":
            answer = source.execute("x-dirtylab-set-tracker", tracker=usable[moves % len(usable)])
            assert "from" in answer, answer
            moves += 1
            if moves == 14:  # until then the guest writes faster than it is sent
                source.execute("migrate-set-parameters", max_bandwidth=0, downtime_limit=300)
            assert time.monotonic() < deadline, info
            rates += other.execute("query-dirty-rate")["status"] != "measuring" and \
                other.execute("calc-dirty-rate", calc_time=50, calc_time_unit="millisecond", mode=usable[rates % len(usable)]) == {}
            time.sleep(0.02)
        assert info["status"] == "pre-switchover", info
        assert "from" in source.execute("x-dirtylab-set-tracker", tracker=usable[0])  # the last moment there is
        assert source.execute("migrate-continue", state="pre-switchover") == {}
        poll(source, "completed")
        poll(destination, "completed")
        assert moves > len(usable) and rates > 0, (moves, rates)
        assert digests(source) == digests(destination)


def test_moves_on_the_way(dirtylab, path):
    migrate_while_moving(dirtylab, path)


def test_moves_on_the_way_with_rings(dirtylab, path):
    migrate_while_moving(dirtylab, path, "--dirty-ring-size", "4096")


def test_stopped_guest_arrives_stopped(dirtylab, path):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
        source, destination = first.connect(), second.connect()
        source.execute("stop")
        source.execute("migrate", uri=stream)
        poll(source, "completed")
        poll(destination, "completed")
        assert destination.execute("query-status")["status"] == "paused"
        assert digests(source) == digests(destination)
        assert destination.execute("cont") == {}
        assert destination.execute("query-status")["status"] == "running"


def test_stop_while_awaited(dirtylab, path):
    """What stop and cont mean before the guest has come."""
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
        source, destination = first.connect(), second.connect()
        assert destination.execute("stop") == {}
        assert destination.execute("query-status")["status"] == "inmigrate"
        source.execute("migrate", uri=stream)
        poll(source, "completed")
        poll(destination, "completed")
        assert destination.execute("query-status")["status"] == "paused"
    with Guest(dirtylab, f"{path}3") as first, Guest(dirtylab, f"{path}4", "--paused", "--incoming", stream) as second:
        source, destination = first.connect(), second.connect()
        assert destination.execute("cont") == {}
        source.execute("migrate", uri=stream)
        poll(source, "completed")
        poll(destination, "completed")
        assert destination.execute("query-status")["status"] == "running"


def test_cancel_and_again(dirtylab, path):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first:
        source = first.connect()
        set_capability(source, "events")
        assert source.execute("migrate_cancel") == {}  # nothing to cancel is no error
        assert source.execute("migrate", uri="gopher:nowhere")["class"] == "GenericError"
        assert source.execute("migrate", uri=f"unix:{path}.nobody") == {}
        info = poll(source, "failed")
        assert info["error-desc"], info
        assert source.execute("query-status")["status"] == "running"
        assert active_tracker(source) == "none"

        with Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
            destination = second.connect()
            source.execute("migrate-set-parameters", max_bandwidth=1 << 20)
            source.execute("migrate", uri=stream)
            poll(source, "active")
            assert source.execute("migrate", uri=stream)["class"] == "GenericError"
            assert source.execute("migrate-set-capabilities", capabilities=[{"capability": "auto-converge", "state": True}])["class"]
            assert source.execute("x-dirtylab-set-tracker", tracker="none")["class"] == "GenericError"
            assert "from" in source.execute("x-dirtylab-set-tracker", tracker="uffd-wp")
            assert source.execute("migrate_cancel") == {}
            poll(source, "cancelled")
            assert source.execute("query-status")["status"] == "running"
            assert active_tracker(source) == "uffd-wp"  # the choice outlasts the migration
            assert destination.ended()
            assert second.wait() == 1, second.errors
            assert second.errors.startswith("dirtylab: the guest did not come: "), second.errors

        set_capability(source, "pause-before-switchover")
        source.execute("migrate-set-parameters", max_bandwidth=0)
        with Guest(dirtylab, f"{path}3", "--incoming", stream) as third:
            destination = third.connect()
            assert source.execute("migrate-continue", state="pre-switchover")["class"] == "GenericError"
            source.execute("migrate", uri=stream)
            poll(source, "pre-switchover")
            assert source.execute("query-status")["status"] == "finish-migrate"
            assert source.execute("cont")["class"] == "GenericError"
            assert source.execute("migrate-continue", state="device")["class"] == "GenericError"
            assert source.execute("migrate-continue", state="pre-switchover") == {}
            poll(source, "completed")
            assert "pre-switchover" in statuses(source), source.events
            assert poll(destination, "completed")
            assert destination.execute("query-status")["status"] == "running"


def test_cancel_in_pre_switchover(dirtylab, path):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
        source = first.connect()
        second.connect()
        set_capability(source, "pause-before-switchover")
        source.execute("migrate", uri=stream)
        poll(source, "pre-switchover")
        assert source.execute("migrate_cancel") == {}
        poll(source, "cancelled")
        assert source.execute("query-status")["status"] == "running"
        source.wait_event("RESUME")
        assert_writes(source)


def lose_hand_over(dirtylab, path, keep):
    """A source whose GO, or the answer to it, was lost; and what came of the destination."""
    Relay(f"{path}.thief", f"{path}.stream", keep).start()
    first, second = Guest(dirtylab, f"{path}1"), Guest(dirtylab, f"{path}2", "--incoming", f"unix:{path}.stream")
    source, destination = first.connect(), second.connect()
    assert source.execute("migrate", uri=f"unix:{path}.thief") == {}
    info = poll(source, "failed")
    assert info["x-dirtylab-handover"] == "unresolved", info
    assert "x-dirtylab-resolve-handover" in info["error-desc"], info
    assert source.execute("query-status") == {"status": "finish-migrate", "running": False}
    assert source.execute("cont")["class"] == "GenericError"
    assert source.execute("migrate", uri=f"unix:{path}.stream")["class"] == "GenericError"
    return first, source, second, destination


def test_go_was_lost(dirtylab, path):
    """The destination has not run it: here it may."""
    first, source, second, destination = lose_hand_over(dirtylab, path, GO)
    with first, second:
        assert destination.ended() and second.wait() == 1
        assert source.execute("x-dirtylab-resolve-handover", run=True) == {}
        source.wait_event("RESUME")
        assert source.execute("query-status") == {"status": "running", "running": True}
        assert "x-dirtylab-handover" not in source.execute("query-migrate")
        assert_writes(source)
        with Guest(dirtylab, f"{path}3", "--incoming", f"unix:{path}.stream") as third:
            destination = third.connect()
            assert source.execute("migrate", uri=f"unix:{path}.stream") == {}
            poll(source, "completed")


def test_answer_was_lost(dirtylab, path):
    """The destination runs it: here it is gone."""
    first, source, second, destination = lose_hand_over(dirtylab, path, RUNNING)
    with first, second:
        poll(destination, "completed")
        assert destination.execute("query-status") == {"status": "running", "running": True}
        assert source.execute("x-dirtylab-resolve-handover", run=False) == {}
        assert source.execute("query-status") == {"status": "postmigrate", "running": False}
        assert source.execute("cont")["class"] == "GenericError"
        assert source.execute("x-dirtylab-resolve-handover", run=True)["class"] == "GenericError"


def test_settings(dirtylab, path):
    with Guest(dirtylab, path, "--tls-creds", "/no/such/folder") as guest:
        client = guest.connect()
        defaults = {
            "max-bandwidth": 134217728, "downtime-limit": 300, "tls-creds": "/no/such/folder", "tls-hostname": "",
            "cpu-throttle-initial": 20, "cpu-throttle-increment": 10, "max-cpu-throttle": 99,
        }
        assert client.execute("query-migrate-parameters") == defaults
        for arguments in ({"max_bandwidth": -1}, {"max_bandwidth": "1M"}, {"downtime_limit": 99999999}, {"cpu_throttle_initial": 0},
                          {"max_cpu_throttle": 100}, {"cpu_throttle_increment": 1 << 40}, {"downtime_limit": 1, "max_cpu_throttle": 0},
                          {"xbzrle_cache_size": 1}):
            assert client.execute("migrate-set-parameters", **arguments)["class"] == "GenericError", arguments
        assert client.execute("query-migrate-parameters") == defaults
        assert client.execute("migrate-set-parameters", max_bandwidth=0, downtime_limit=7, tls_creds="", tls_hostname="me") == {}
        changed = {**defaults, "max-bandwidth": 0, "downtime-limit": 7, "tls-creds": "", "tls-hostname": "me"}
        assert client.execute("query-migrate-parameters") == changed

        names = {entry["capability"]: entry["state"] for entry in client.execute("query-migrate-capabilities")}
        assert names == dict.fromkeys(("events", "auto-converge", "pause-before-switchover", "return-path"), False), names
        for bad in (["events"], [{"capability": "events"}], [{"capability": "events", "state": 1}], [{"capability": "xbzrle", "state": True}],
                    [{"capability": "events", "state": True}, {"capability": "nonsense", "state": True}]):
            assert client.execute("migrate-set-capabilities", capabilities=bad)["class"] == "GenericError", bad
        assert not any(entry["state"] for entry in client.execute("query-migrate-capabilities"))
        assert client.execute("x-dirtylab-resolve-handover", run=True)["class"] == "GenericError"
        assert client.execute("migrate-incoming", uri="unix:/x")["class"] == "GenericError"
        assert client.execute("x-dirtylab-query-job") == {"type": 0, "parameters": []}


def test_digest(dirtylab, path):
    with Guest(dirtylab, path, "--paused") as guest:
        client = guest.connect()
        pieces = client.execute("x-dirtylab-ram-digest")
        assert pieces["unit-bytes"] == 2 << 20 and len(pieces["digests"]) == 16, pieces
        pages = client.execute("x-dirtylab-ram-digest", piece=15)
        assert pages["unit-bytes"] == 4096 and len(pages["digests"]) == 512, pages
        assert len(set(pages["digests"])) == 1  # nobody has written there
        for piece in (-1, 16, 1 << 62):
            assert client.execute("x-dirtylab-ram-digest", piece=piece)["class"] == "GenericError"
        client.execute("cont")
        assert client.execute("x-dirtylab-ram-digest")["class"] == "GenericError"


def test_job(dirtylab, path):
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, f"{path}2", "--incoming", stream) as second:
        source, destination = first.connect(), second.connect()
        source.execute("migrate", uri=stream, x_dirtylab_moves=[{"from": "kvm-bitmap", "to": "uffd-wp", "pass": 1}])
        poll(source, "completed")
        job = source.execute("x-dirtylab-query-job")
        fields = {entry["field"]: entry["value"] for entry in job["parameters"]}
        assert job["type"] == 3 and fields["success"] is True, job
        assert fields["memory_total"] == RAM_BYTES and fields["memory_page_size"] == 4096, job
        assert {"operation", "time_elapsed", "downtime", "setup_time", "memory_iteration", "memory_dirty_rate"} <= fields.keys(), job
        poll(destination, "completed")
        came = {entry["field"]: entry["value"] for entry in destination.execute("x-dirtylab-query-job")["parameters"]}
        assert came["operation"] != fields["operation"], came
        passes = source.execute("query-migrate", x_dirtylab_passes=True)["x-dirtylab-passes"]
        assert [entry["pass"] for entry in passes] == list(range(1, len(passes) + 1)), json.dumps(passes)


def test_incoming_alone(dirtylab, path):
    """Without a control socket; an address that cannot be had; a signal while the guest is awaited."""
    stream = f"unix:{path}.stream"
    with Guest(dirtylab, f"{path}1") as first, Guest(dirtylab, None, "--incoming", stream) as second:
        source = first.connect()
        while not os.path.exists(f"{path}.stream"):
            time.sleep(0.01)
        source.execute("migrate", uri=stream)
        poll(source, "completed")
        second.process.terminate()
        assert second.wait() == 143
    with Guest(dirtylab, path, "--incoming", "nowhere:1") as guest:
        assert guest.wait() != 0
        assert guest.errors.startswith("dirtylab: ") and guest.errors.count("\n") == 1, guest.errors
    with Guest(dirtylab, path, "--incoming", stream) as guest:
        client = guest.connect()
        client.execute("quit")
        assert guest.wait() == 0, guest.errors


TESTS = {
    "a migration as QEMU's clients do it": test_like_qemu,
    "from process to process, under one tracker after another": test_there_and_back,
    "trackers that change on the way lose nothing": test_moves_on_the_way,
    "trackers that change on the way lose nothing, with rings": test_moves_on_the_way_with_rings,
    "a stopped guest arrives stopped": test_stopped_guest_arrives_stopped,
    "stop and cont while the guest is awaited": test_stop_while_awaited,
    "a migration that fails or is cancelled leaves the guest running": test_cancel_and_again,
    "cancelled in pre-switchover": test_cancel_in_pre_switchover,
    "a GO that was lost: the guest stays here, once somebody says so": test_go_was_lost,
    "an answer that was lost: the guest is there, once somebody says so": test_answer_was_lost,
    "parameters and capabilities": test_settings,
    "digests of RAM": test_digest,
    "libvirt's names": test_job,
    "incoming without a client": test_incoming_alone,
}

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
