#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives `dirtylab boot --control` as somebody would who wrote for QEMU: a socket, the greeting, the capabilities, commands, events.

    qmp_session.py DIRTYLAB        prints TAP; status 1 if anything failed
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

LIMIT = 60  # seconds for anything at all
WORKLOAD = "pattern=random pages=500 passes=0 quiet"


class Qmp:
    """A client in the fewest lines."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")
        self.events = []
        self.greeting = self.read()["QMP"]
        self.execute("qmp_capabilities")

    def read(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def execute(self, command, **arguments):
        request = {"execute": command, "id": f"{command}-{time.monotonic_ns()}"}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.socket.sendall(json.dumps(request).encode())
        while True:
            answer = self.read()
            if "event" in answer:
                self.events.append(answer)
                continue
            assert answer["id"] == request["id"], answer
            return answer["return"] if "return" in answer else answer["error"]

    def wait_event(self, name):
        while not any(event["event"] == name for event in self.events):
            event = self.read()
            assert event and "event" in event, f"no event {name}: {event}"
            self.events.append(event)
        return next(event for event in self.events if event["event"] == name)

    def ended(self):
        while self.read():
            pass
        return True


class Guest:
    """A dirtylab process with a control socket."""

    def __init__(self, dirtylab, path, *options, append=WORKLOAD):
        self.path = path
        control = ["--control", f"unix:{path}"] if path else []
        command = [dirtylab, "boot", "--memory", "32M", "--append", append, *control, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def connect(self):
        end = time.monotonic() + LIMIT
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Qmp(self.path)
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < end, "no socket"
            time.sleep(0.01)

    def wait(self):
        _, self.errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


def measure(client, **arguments):
    assert client.execute("calc-dirty-rate", **arguments) == {}
    while (report := client.execute("query-dirty-rate", calc_time_unit="millisecond"))["status"] == "measuring":
        time.sleep(0.02)
    return report


def assert_writes(client):
    """The guest gets on; a busy host may let it wait for a while."""
    end = time.monotonic() + LIMIT
    while not (report := measure(client, calc_time=100, calc_time_unit="millisecond", mode="dirty-bitmap"))["x-dirtylab-pages"]:
        assert time.monotonic() < end, report


def test_session(dirtylab, path):
    with Guest(dirtylab, path, "--vcpus", "2") as guest:
        client, watcher = guest.connect(), guest.connect()
        assert {"major", "minor", "micro"} <= client.greeting["version"]["qemu"].keys()
        names = {command["name"] for command in client.execute("query-commands")}
        assert {"query-status", "stop", "cont", "quit", "calc-dirty-rate", "x-dirtylab-set-tracker"} <= names, names
        assert client.execute("query-status")["status"] == "running"
        assert client.execute("stop") == {}
        assert watcher.wait_event("STOP")["timestamp"]["seconds"] > 0
        assert client.execute("query-status") == {"status": "paused", "running": False}
        assert client.execute("cont") == {}
        watcher.wait_event("RESUME")
        assert client.execute("no-such-command")["class"] == "CommandNotFound"
        assert client.execute("stop", now=True)["class"] == "GenericError"
        usable = [entry["tracker"] for entry in client.execute("x-dirtylab-query-trackers") if entry["supported"]]
        for tracker in usable + ["none"]:
            assert "from" in client.execute("x-dirtylab-set-tracker", tracker=tracker), tracker
            active = [entry["tracker"] for entry in client.execute("x-dirtylab-query-trackers") if entry["active"]]
            assert active == [tracker], active
        for mode in ("page-sampling", "dirty-bitmap"):
            report = measure(client, calc_time=100, calc_time_unit="millisecond", mode=mode)
            assert report["status"] == "measured" and report["mode"] == mode and report["dirty-rate"] >= 0, report
        assert client.execute("quit") == {}
        assert watcher.wait_event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-qmp-quit"}
        assert client.ended() and watcher.ended()
        assert guest.wait() == 0
        assert not os.path.exists(path)


def test_ring(dirtylab, path):
    with Guest(dirtylab, path, "--dirty-ring-size", "4096") as guest:
        client = guest.connect()
        report = measure(client, calc_time=100, calc_time_unit="millisecond", mode="dirty-ring")
        assert [rate["id"] for rate in report["vcpu-dirty-rate"]] == [0], report
        client.execute("quit")
        assert guest.wait() == 0


def test_paused(dirtylab, path):
    with Guest(dirtylab, path, "--paused") as guest:
        client = guest.connect()
        assert client.execute("query-status")["status"] == "paused"
        assert measure(client, calc_time=100, calc_time_unit="millisecond", mode="dirty-bitmap")["x-dirtylab-pages"] == 0
        assert client.execute("cont") == {}
        client.wait_event("RESUME")
        client.execute("quit")
        assert guest.wait() == 0


def test_signal(dirtylab, path):
    with Guest(dirtylab, path) as guest:
        client = guest.connect()
        guest.process.send_signal(signal.SIGTERM)
        assert client.wait_event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-signal"}
        assert client.ended()
        assert guest.wait() == 143
        assert not os.path.exists(path)


def test_guest_ends(dirtylab, path):
    with Guest(dirtylab, path, "--paused", append="pattern=random pages=10 passes=1 quiet") as guest:
        client = guest.connect()
        client.execute("cont")
        assert client.wait_event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-reset"}
        assert guest.wait() == 0


def test_socket_in_use(dirtylab, path):
    with Guest(dirtylab, path) as guest:
        client = guest.connect()
        with Guest(dirtylab, path) as second:
            assert second.wait() == 1
            assert second.errors.count("\n") == 1 and "another process listens there" in second.errors, second.errors
        assert client.execute("query-status")["running"]
        guest.process.kill()
        guest.process.wait()
        assert os.path.exists(path)  # what a killed process leaves
        with Guest(dirtylab, path) as third:
            third.connect().execute("quit")
            assert third.wait() == 0


def test_bad_address(dirtylab, path):
    for uri, status in (("tcp:localhost:1", 2), ("unix:", 2), ("unix:/no/such/folder/socket", 1)):
        result = subprocess.run([dirtylab, "boot", "--control", uri], capture_output=True, text=True, timeout=LIMIT, check=False)
        assert result.returncode == status, result
        assert result.stderr.startswith("dirtylab: ") and result.stderr.count("\n") == 1, result.stderr


TESTS = {
    "a whole session": test_session,
    "a guest with dirty rings": test_ring,
    "a guest that starts paused": test_paused,
    "a signal is announced, and its status is the process's": test_signal,
    "a guest that resets itself is announced": test_guest_ends,
    "a socket in use is refused, a stale one replaced": test_socket_in_use,
    "an address that cannot be used": test_bad_address,
}


def run_tests(tests):
    """Each in a folder of its own; the exit status."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests.items(), 1):
        with tempfile.TemporaryDirectory(prefix="dirtylab-qmp-") as folder:
            try:
                test(sys.argv[1], os.path.join(folder, "socket"))
                print(f"ok {number} - {name}", flush=True)
            except Exception as error:  # pylint: disable=broad-except  # each test stands alone
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[1]
                print(f"# line {where.lineno}: {where.line}\n# {type(error).__name__}: {error}\nnot ok {number} - {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
