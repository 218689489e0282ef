# SPDX-License-Identifier: MIT
"""dirtylab compare says what differs and nothing else, judged by runs drawn from recorded ones (recorded_runs.json).

    test_compare.py DIRTYLAB        prints TAP

The recording is of a busy machine: `dirtylab bench --ram shmem --memory 64M --runs 40 --passes 5 --oracle none`, beside other work
on two shared cores (load 8 to 15): the quartiles of its runs' medians lie 7 to 300 % apart. A file of N runs is made by drawing N of them, each
with all its samples. What no such number of runs could find is not asked for: a cost is made slower where its quartiles are less than CALM apart.
"""
import copy
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

import documents

PAIRS = 40
RUNS = 60
SLOWER = 1.2
ALLOWED_CLAIMS, LEAST_FOUND = 3, 36
CALM = 0.3


class Tests:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.number = self.failed = 0

    def check(self, name, good, seen=""):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}{f' ({seen})' if isinstance(seen, int) and good else ''}", flush=True)
        if not good:
            print(f"# {seen}".replace("\n", " "), flush=True)

    def files(self, old, new):
        paths = [str(self.folder / "old.json"), str(self.folder / "new.json")]
        for path, content in zip(paths, (old, new)):
            pathlib.Path(path).write_text(json.dumps(content), encoding="utf-8")
        return paths

    def text(self, old, new):
        """What it says to people, in one line."""
        ended = subprocess.run([self.program, "compare", *self.files(old, new)], capture_output=True, text=True, timeout=120, check=False)
        return " ".join(ended.stdout.split())

    def compare(self, old, new):
        """The exit status, and the results of its JSON (None when there are none)."""
        paths = self.files(old, new)
        ended = subprocess.run([self.program, "compare", *paths, "--json", "-"], capture_output=True, text=True, timeout=120, check=False)
        return ended.returncode, json.loads(ended.stdout)["results"] if ended.stdout else None, ended.stderr


def quartiles_apart(blocks):
    low, middle, high = statistics.quantiles([statistics.median(block) for block in blocks], n=4)
    return (high - low) / middle


def claims(results):
    return [row for row in results if row["verdict"] in ("better", "worse")]


def drawn(recorded, rand, runs, slow=None):
    """A document of so many runs. @slow: (tracker, cost) that take SLOWER as long."""
    results = []
    for tracker, costs in recorded.items():
        picks = [rand.randrange(len(next(iter(costs.values())))) for _ in range(runs)]
        result = documents.bench_result(random.Random(1), tracker, "shmem", 64 << 20)
        result.update(runs=runs, passes=5)
        result["cost"] = dict.fromkeys(documents.COSTS + ("guest_stall_ns",))
        for cost, blocks in costs.items():
            factor = SLOWER if (tracker, cost) == slow else 1
            samples = [value * factor for pick in picks for value in blocks[pick]]
            result["cost"][cost] = documents.statistics_of(samples)
        results.append(result)
    return documents.document("bench", results)


def noise(tests, recorded):
    rand = random.Random(11)
    claiming = 0
    for _ in range(PAIRS):
        status, results, _ = tests.compare(drawn(recorded, rand, RUNS), drawn(recorded, rand, RUNS))
        claiming += bool(claims(results))
        assert status == any(row["verdict"] == "worse" for row in results)
    tests.check(f"of {PAIRS} pairs of runs of one build, at most {ALLOWED_CLAIMS} claim any difference", claiming <= ALLOWED_CLAIMS, claiming)
    claiming = 0
    for _ in range(PAIRS):
        claiming += bool(claims(tests.compare(drawn(recorded, rand, 3), drawn(recorded, rand, 3))[1]))
    tests.check("the same with 3 runs each, which are dealt by samples", claiming <= ALLOWED_CLAIMS, claiming)


def slower(tests, recorded):
    rand = random.Random(12)
    places = [(tracker, cost) for tracker, costs in recorded.items() for cost, blocks in costs.items() if quartiles_apart(blocks) < CALM]
    found = wrong = 0
    missed = []
    for number in range(PAIRS):
        slow = places[number % len(places)]
        status, results, _ = tests.compare(drawn(recorded, rand, RUNS), drawn(recorded, rand, RUNS, slow))
        hit = [row for row in claims(results) if row["quantity"] == slow[1] and row["case"].startswith(slow[0]) and row["verdict"] == "worse"]
        found += bool(hit) and status == 1
        wrong += len(claims(results)) > len(hit)
        missed += [] if hit else [slow]
    tests.check(f"of {PAIRS} builds made 20 % slower in one cost, at least {LEAST_FOUND} are found", found >= LEAST_FOUND,
                f"{found}, not {missed}" if missed else found)
    tests.check(f"and at most {ALLOWED_CLAIMS} have another cost blamed", wrong <= ALLOWED_CLAIMS, wrong)


def drift(tests, recorded):
    """A host on which everything takes 15 % longer is not a build that is slower in something; but the factor is said."""
    rand = random.Random(13)
    old, new = drawn(recorded, rand, RUNS), drawn(recorded, rand, RUNS)
    for result in new["results"]:
        for cost, entry in result["cost"].items():
            if entry:
                result["cost"][cost] = documents.statistics_of([value * 1.15 for value in entry["samples"]])
    status, results, _ = tests.compare(old, new)
    factor = results[-1]["common_ratio"]
    tests.check("a host that is slower as a whole is told apart from a cost that is", not claims(results) and 1.08 < factor < 1.22,
                f"status {status}, factor {factor:.2f}, {claims(results)}")


def contract(tests):
    bench = documents.small_bench()
    status, results, _ = tests.compare(bench, bench)
    tests.check("a file does not differ from itself", status == 0 and not claims(results), status)

    lossy = copy.deepcopy(bench)
    victim = next(result for result in lossy["results"] if result["tracker"] == "kvm-ring")
    victim["accuracy"][0]["missed_pages"] = 1
    status, results, _ = tests.compare(bench, lossy)
    tests.check("one page missed is a regression", status == 1 and [row["quantity"] for row in claims(results)] == ["unsound_pages"], status)
    status, results, _ = tests.compare(lossy, bench)
    tests.check("and to miss it no longer is none", status == 0 and [row["verdict"] for row in claims(results)] == ["better"], status)

    busier = copy.deepcopy(bench)
    for result in busier["results"]:
        if result["tracker"] == "none":
            cost = result["cost"]["guest_ns_per_first_write"]
            result["cost"]["guest_ns_per_first_write"] = documents.statistics_of([value * 3 for value in cost["samples"]])
    said = {name: tests.text(bench, new) for name, new in (("busier", busier), ("lossy", lossy))}
    tests.check("a guest that is slower with no tracker is the host's doing, and that is said",
                "nothing tracks it" in said["busier"] and "nothing tracks it" not in said["lossy"], said)

    migration = documents.migration()
    unequal = copy.deepcopy(migration)
    unequal["results"][0].update(verified=False, mismatched_pages=3)
    status, results, _ = tests.compare(migration, unequal)
    tests.check("a migration whose RAM differs is a regression", status == 1 and len(claims(results)) == 1, status)

    semantics = documents.semantics(6)
    status, results, _ = tests.compare(semantics, semantics)
    tests.check("a semantics matrix does not differ from itself", status == 0 and not claims(results), status)

    few, other = documents.document("bench", bench["results"][:1]), documents.document("bench", bench["results"][8:9])
    for name, old, new, expected, words in (
            ("files of different kinds are refused", bench, migration, 1, "different kinds"),
            ("files without a common case are refused", few, other, 1, "no case in common"),
            ("what has nothing to compare is refused", documents.probe(), documents.probe(), 1, "nothing to compare"),
            ("a newer schema is refused", bench, dict(bench, schema="dirtylab.bench/2"), 1, "newer dirtylab")):
        status, results, said = tests.compare(old, new)
        tests.check(name, status == expected and results is None and words in said and said.count("\n") == 1, (status, said))


def main():
    recorded = json.loads((pathlib.Path(__file__).parent / "recorded_runs.json").read_text(encoding="utf-8"))["runs"]
    with tempfile.TemporaryDirectory(prefix="dirtylab-compare-") as folder:
        tests = Tests(sys.argv[1], folder)
        contract(tests)
        noise(tests, recorded)
        slower(tests, recorded)
        drift(tests, recorded)
    print(f"1..{tests.number}")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
