# SPDX-License-Identifier: MIT
"""Drives a headless Chromium through its debugging pipe: no driver program and no library, just JSON with a NUL behind each message."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Unavailable(Exception):
    """There is no browser here, or it does not start."""


class Browser:
    """One process with one page. Everything that the page says on its console, and each error in it, is in `messages`."""

    def __init__(self, time_limit=120):
        program = next((found for found in map(shutil.which, NAMES) if found), None)
        if not program:
            raise Unavailable("no Chromium: apt-get install chromium")
        self.deadline = time.monotonic() + time_limit
        self.messages = []
        self.requests = []
        self.number = 0
        self.rest = b""
        self.session = None
        self.profile = tempfile.mkdtemp(prefix="dirtylab-browser-")
        self.start(program)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(domain + ".enable")
        except Unavailable:
            self.close()
            raise

    def start(self, program):
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        # Chromium reads its commands from descriptor 3 and answers on 4.
        command = (f'exec "$@" 3<&{to_browser} 4>&{from_browser}')
        options = ["--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-extensions", "--force-color-profile=srgb",
                   f"--user-data-dir={self.profile}"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # its sandbox refuses root; what it opens here is our own page
        environment = dict(os.environ, HOME=self.profile, XDG_CONFIG_HOME=self.profile, XDG_CACHE_HOME=self.profile)
        self.process = subprocess.Popen(["bash", "-c", command, "-", program, *options, "about:blank"], env=environment,
                                        pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)

    def close(self):
        """Ends the browser and all that it started: they are one process group."""
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.output)
        os.close(self.input)
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def receive(self):
        while b"\0" not in self.rest:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.input], [], [], left)[0]:
                raise Unavailable("the browser does not answer in time")
            got = os.read(self.input, 1 << 20)
            if not got:
                raise Unavailable("the browser ended")
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def note(self, message):
        kind, params = message.get("method"), message.get("params", {})
        if kind == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif kind == "Runtime.exceptionThrown":
            self.messages.append(params["exceptionDetails"].get("text", "exception"))
        elif kind == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def send(self, method, params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        return self.number

    def call(self, method, **params):
        number = self.send(method, params)
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.note(message)

    def open(self, path, width, height=900, dark=False, media="screen"):
        """Opens a file in a window of that size; returns the seconds until it was drawn."""
        self.messages.clear()
        self.requests.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        start = time.monotonic()
        self.call("Page.navigate", url="file://" + os.path.realpath(path))
        self.evaluate("new Promise(done => { const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));"
                      " document.readyState === 'complete' ? drawn() : addEventListener('load', drawn); })")
        return time.monotonic() - start

    def evaluate(self, expression):
        """The expression's value, or its promise's."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return answer["result"].get("value")

    def key(self, name):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            code = {"Enter": 13, "Tab": 9}[name]
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path, clip=None):
        """The whole page, or a part of it: x, y, width, height."""
        options = {"format": "png", "captureBeyondViewport": True}
        if clip is None:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = (0, 0, size["width"], min(size["height"], 16000))
        options["clip"] = dict(zip(("x", "y", "width", "height"), clip), scale=1)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))
