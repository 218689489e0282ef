# SPDX-License-Identifier: MIT
"""What stands between the two sides of a migration and keeps one frame to itself."""
import select
import socket
import struct
import threading

LIMIT = 60  # seconds that nothing comes at all
HEADER = struct.Struct("<IHHIIQQ")  # magic, version, type, length, number, two checksums
LOADED, GO, RUNNING = 9, 10, 11


class Relay(threading.Thread):
    """Hands on what passes until `keep` comes; then `kept` is set, and it hangs up: at once, or, with `hold`, as soon as one side has."""

    def __init__(self, path, onward, keep, hold=False):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.onward, self.keep, self.hold = onward, keep, hold
        self.kept = threading.Event()

    def run(self):
        with socket.socket(socket.AF_UNIX) as destination:
            source, _ = self.listener.accept()
            self.listener.close()
            with source:
                destination.connect(self.onward)
                try:
                    if self.hand_on(source, destination) and self.hold:
                        self.await_end(source, destination)
                except ConnectionError:
                    pass  # one that was killed with data unread

    def hand_on(self, source, destination):
        """True: `keep` has come. What the source says once LOADED was handed on is GO."""
        answers, loaded = b"", False
        while True:
            for ready in select.select([source, destination], [], [], LIMIT)[0]:
                data = ready.recv(65536)
                if not data:
                    return False
                if ready is source and loaded and self.keep == GO:
                    self.kept.set()
                    return True
                if ready is source:
                    destination.sendall(data)
                    continue
                answers += data
                while len(answers) >= HEADER.size:
                    _, _, kind, length, *_ = HEADER.unpack_from(answers)
                    if len(answers) < HEADER.size + length:
                        break
                    if kind == self.keep:
                        self.kept.set()
                        return True
                    loaded = loaded or kind == LOADED
                    source.sendall(answers[:HEADER.size + length])
                    answers = answers[HEADER.size + length:]

    @staticmethod
    def await_end(source, destination):
        while all(ready.recv(65536) for ready in select.select([source, destination], [], [], LIMIT)[0]):
            pass
