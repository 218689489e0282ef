#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A QMP client for the scripts that drive dirtylab and QEMU: one command at a time, over a unix socket; events are kept with their times.

    qmp.py SOCKET COMMAND [NAME=VALUE...] [--until NAME=VALUE]

sends one command, and prints the answer. A VALUE is JSON, or else a string. With --until the command is sent again and again until its
answer has that. Status 1 and one line when it is refused, or when a minute was not enough.
"""
import argparse
import json
import socket
import sys
import time


class QmpError(Exception):
    """The other side refused, was silent, or went away."""


class Qmp:
    def __init__(self, path, seconds=30):
        self.socket = self._connect(path, time.monotonic() + seconds)
        self.socket.settimeout(seconds)
        self.file = self.socket.makefile("r", encoding="utf-8")
        self.events = []
        if "QMP" not in self._receive():
            raise QmpError(f"{path}: the greeting is not QMP's")
        self.execute("qmp_capabilities")

    @staticmethod
    def _connect(path, deadline):
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                client.connect(str(path))
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                client.close()
                if time.monotonic() > deadline:
                    raise QmpError(f"nobody listens at {path}") from None
                time.sleep(0.01)

    def _receive(self):
        try:
            line = self.file.readline()
        except (TimeoutError, ConnectionError) as error:
            raise QmpError(f"no answer: {error}") from None
        if not line:
            raise QmpError("the other side closed the socket")
        message = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message

    def execute(self, command, **arguments):
        """Names with underscores stand for those with hyphens."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._receive()
            if "error" in answer:
                raise QmpError(f"{command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def event_time(self, name, status=None):
        """Seconds since the epoch of the last event of that name (and, with @status, with that status) among those received; None: none."""
        for event in reversed(self.events):
            if event["event"] == name and (not status or event.get("data", {}).get("status") == status):
                return event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
        return None

    def wait_migrated(self, seconds):
        """Polls query-migrate until the migration is over, and returns its last answer."""
        deadline = time.monotonic() + seconds
        while True:
            info = self.execute("query-migrate")
            if info.get("status") in ("completed", "failed", "cancelled"):
                return info
            if time.monotonic() > deadline:
                raise QmpError(f"the migration is not over after {seconds} s: {info.get('status')}")
            time.sleep(0.01)

    def wait_status(self, status, seconds):
        deadline = time.monotonic() + seconds
        while self.execute("query-status")["status"] != status:
            if time.monotonic() > deadline:
                raise QmpError(f"the guest is not {status} after {seconds} s")
            time.sleep(0.005)

    def close(self):
        self.file.close()
        self.socket.close()


def pair(text):
    """NAME=VALUE as the command line has it."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def ask(arguments):
    client = Qmp(arguments.socket)
    deadline = time.monotonic() + 60
    while True:
        answer = client.execute(arguments.command, **dict(arguments.argument))
        if not arguments.until or answer.get(arguments.until[0]) == arguments.until[1]:
            return answer
        if time.monotonic() > deadline:
            raise QmpError(f"after a minute {arguments.until[0]} still is {answer.get(arguments.until[0])}")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description="Sends one QMP command, and prints the answer.")
    parser.add_argument("socket")
    parser.add_argument("command")
    parser.add_argument("argument", nargs="*", type=pair, metavar="NAME=VALUE")
    parser.add_argument("--until", type=pair, metavar="NAME=VALUE", help="send it again until the answer has this")
    try:
        print(json.dumps(ask(parser.parse_args()), indent=2))
    except (QmpError, OSError) as error:
        sys.exit(f"qmp.py: {error}")


if __name__ == "__main__":
    main()
