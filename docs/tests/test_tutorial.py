# SPDX-License-Identifier: MIT
"""The tutorial's commands do what it shows: each is run, in its order and in one shell, and what it prints is what stands below it.

    test_tutorial.py TUTORIAL.md SOURCE-FOLDER BUILD-FOLDER [--print]    prints TAP; --print: what the commands print instead

The commands stand in blocks of ```console, each behind `$ `, continued behind `> `. How a text is compared:

- white space is white space, lines may be broken elsewhere;
- a number, with its unit, stands for any number, but a bare 0 is a promise; when a file was made, and by which build, is any time and build;
- `...` stands for anything, and so does what the host says of itself behind `Host:`.

A comment before a block may ask for less: `<!-- first words -->` compares each line's first word only, `<!-- any number -->` takes a 0 for a
number, `<!-- status 0 or 1 -->` allows a failure. What installs and builds stands in blocks of ```sh and is not run: scripts/test does that.
"""
import pathlib
import re
import select
import os
import signal
import subprocess
import sys
import tempfile
import time

COMMAND_SECONDS = 180  # a hang is what this is for
ANYTHING = "..."
UNITS = r"(?: ?(?:[KMGT]iB|B)|ns|µs|ms|s|[kM])?(?![A-Za-z\d])"
RUN = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \([^)]*\)")  # when, and by which build
NUMBER = re.compile(r"(?<![A-Za-z_.\d])-?\d+(?:[.,]\d+)*" + UNITS)


class Step:
    def __init__(self, command, options):
        self.command, self.options, self.shown = command, options, []


def steps(text):
    """The commands of the page, each with what it shows."""
    found, options, inside = [], set(), False
    for line in text.splitlines():
        comment = re.fullmatch(r"<!-- (.*) -->", line)
        if comment and not inside:
            options = set(comment[1].split(", "))
        elif line.startswith("```"):
            inside = not inside and line == "```console"
            options = options if inside else set()
        elif inside and line.startswith("$ "):
            found.append(Step(line[2:], options))
        elif inside and line.startswith("> ") and found[-1].command.endswith("\\"):
            found[-1].command += "\n" + line[2:]
        elif inside:
            found[-1].shown.append(line)
    return found


def words(text, zeros_vary):
    text = re.sub(r"(?m)^Host: .*$", f"Host: {ANYTHING}", text)
    text = RUN.sub("RUN", text)
    text = re.sub(r"(?<!\S)-(?!\S)", "1", text)  # a cell of a table that has no figure
    text = NUMBER.sub(lambda number: "0" if number[0] == "0" and not zeros_vary else "#", text)
    return text.split()


def matches(shown, printed):
    """Whether the words that are shown are those that were printed."""
    pattern = r"\s".join(r"\S+(?:\s\S+)*?" if word == ANYTHING else re.escape(word).replace(r"\.\.\.", ".*?").replace(r"\#", "[#0]") for word in shown)
    pattern = pattern.replace(r"\s\S+(?:\s\S+)*?", r"(?:\s\S+)*?")  # three dots may stand for nothing too
    pattern = pattern.replace(r"\S+(?:\s\S+)*?\s", r"(?:\S+\s)*?")
    return re.fullmatch(pattern, " ".join(printed)) is not None


def first_words(lines):
    return [line.split()[0] for line in lines if line.strip()]


def is_as_shown(step, printed):
    if "first words" in step.options:
        shown, seen = first_words(step.shown), first_words(printed.splitlines())
        return matches(shown, seen)
    zeros_vary = "any number" in step.options
    return matches(words("\n".join(step.shown), zeros_vary), words(printed, zeros_vary))


class Shell:
    """One bash for all commands, in a process group of its own, so that nothing of it outlives the test."""
    MARK = "end-of-command"

    def __init__(self, folder):
        self.process = subprocess.Popen(["bash", "--norc"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True, env=dict(os.environ, LC_ALL="C.UTF-8"))

    def run(self, command):
        """What it printed, and its status; None: it did not end."""
        quoted = command.replace("'", "'\\''")
        self.process.stdin.write(f"eval '{quoted}' </dev/null; printf '\\n{self.MARK} %d\\n' $?\n".encode())
        self.process.stdin.flush()
        said, deadline = b"", time.monotonic() + COMMAND_SECONDS
        while not (end := re.search(rb"\n%s (\d+)\n" % self.MARK.encode(), said)):
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                return said.decode(), None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return said.decode(), None
            said += more
        return said[:end.start()].decode(), int(end[1])

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Tests:
    def __init__(self):
        self.number = self.failed = 0

    def check(self, name, good, seen=""):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name.replace('#', 'No.')}", flush=True)
        for line in ([] if good else seen.splitlines()):
            print(f"# {line}", flush=True)


def matcher(tests):
    """What the comparison lets pass, and what not."""
    for name, shown, printed, options, expected in (
            ("a number stands for any", "took 2.60µs, sent 18.4 MiB", "took 13ms, sent\n 900 B", (), True),
            ("a 0 stands for 0", "0 missed", "1 missed", (), False),
            ("a number may be 0", "12 extra", "0 extra", (), True),
            ("a 0 that may vary", "0 worse", "2 worse", ("any number",), True),
            ("a word is a word", "status: running", "status: paused", (), False),
            ("a line is missing", "a\nb", "a", (), False),
            ("a line too much", "a", "a\nb", (), False),
            ("dots stand for lines", "a\n...\nd", "a\nb c\nd", (), True),
            ("dots stand for nothing", "a\n...", "a", (), True),
            ("dots within a word", '"tracker": "kvm-..."', '"tracker": "kvm-ring"', (), True),
            ("dots do not swallow what follows", "a\n...\nd", "a\nb", (), False),
            ("first words only", "kvm-ring yes\n...", "kvm-ring no (3)\nnext 1", ("first words",), True),
            ("another first word", "kvm-ring yes", "kvm-bitmap yes", ("first words",), False),
            ("the host is any", "Host: Linux 6.18\nGuest: 64 MiB", "Host: Linux 6.1, SVM\nGuest: 64 MiB", (), True)):
        step = Step("", set(options))
        step.shown = shown.splitlines()
        tests.check(f"the comparison: {name}", is_as_shown(step, printed) == expected, f"{shown!r}, {printed!r}")


def run_all(tests, page, folder):
    shell = Shell(folder)
    try:
        for step in page:
            printed, status = shell.run(step.command)
            if tests is None:
                print(f"$ {step.command}\n{printed}[{status}]", flush=True)
                continue
            allowed = (0, 1) if "status 0 or 1" in step.options else (0,)
            tests.check(step.command.splitlines()[0], status in allowed and is_as_shown(step, printed),
                        f"status {status}\nshown:\n" + "\n".join(step.shown) + f"\nprinted:\n{printed}")
            if status is None:
                break  # the shell is at it still, or gone
    finally:
        shell.end()


def main():
    tutorial, source, build = map(pathlib.Path, sys.argv[1:4])
    page = steps(tutorial.read_text(encoding="utf-8"))
    tests = None if "--print" in sys.argv else Tests()
    if tests:
        matcher(tests)
        tests.check("the page has commands", len(page) > 10)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print(f"ok {tests.number + 1} - the tutorial # SKIP there is no /dev/kvm to use\n1..{tests.number + 1}")
        return 1 if tests.failed else 0
    with tempfile.TemporaryDirectory(prefix="dirtylab-tutorial-") as folder:
        # the tree as a user has it after the build, and a place to leave files in
        (pathlib.Path(folder) / "build").symlink_to(build.resolve())
        (pathlib.Path(folder) / "scripts").symlink_to((source / "scripts").resolve())
        run_all(tests, page, folder)
    if tests:
        print(f"1..{tests.number}")
    return 1 if tests and tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
