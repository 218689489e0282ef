# SPDX-License-Identifier: MIT
"""Result documents for the tests, as dirtylab writes them: every kind, the full matrix, and hostile ones."""
import random
import statistics

TRACKERS = ("none", "kvm-bitmap", "kvm-bitmap-clear", "kvm-ring", "uffd-wp", "pagemap-scan", "soft-dirty")
RAMS = ("shmem", "shmem-thp", "hugetlb-2M", "hugetlb-1G")
PATTERNS = ("random", "sequential", "hotspot", "stride", "silent", "read")
CAUSES = ("granularity", "first_harvest", "read_fault", "in_flight", "page_walk", "kvm_mapping", "ring_overflow", "unexplained")
COSTS = ("arm_ns", "release_ns", "harvest_running_ns", "harvest_stopped_ns", "harvest_ns_per_page", "guest_ns_per_first_write",
         "host_cpu_ns")
TYPICAL = dict(zip(COSTS, (1.8e6, 3.1e5, 2.4e6, 6.2e4, 36.7, 4125.5, 1.3e7)))
HOST = {"kernel": "6.18.44", "kvm": "PVM", "mmu": "shadow", "cpu": "A Processor", "cores": 2, "memory_bytes": 25165824000}
# What breaks out of text, attributes, scripts, styles, comments and SVG; and what turns the text around.
HOSTILE = ('</script><script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", '--><b>&lt;',
           '</style></svg></title><iframe src=javascript:alert(1)>', '\u202egnp.exe\u200b', '{{7*7}}${7*7}', 'a' * 300,
           '<![CDATA[ ]]>&#x3c;script&#x3e;', '\u2028\u2029\ufeff')


def document(schema, results, kernel=None, **head):
    host = dict(HOST, kernel=kernel or HOST["kernel"])
    return dict({"schema": f"dirtylab.{schema}/1", "host": host, "build": {"version": "0.1.0", "revision": "abcdef1"},
                 "command": f"dirtylab {schema} --json out.json", "seed": 1, "started": "2026-01-02T03:04:05.678901+01:00",
                 "complete": True, "results": results}, **head)


def statistics_of(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "ci95": [min(samples), max(samples)],
            "samples": samples}


def accuracy(rand, oracle, scope, tracker):
    written = rand.randrange(9000, 99000)
    missed = written if tracker == "none" else 0
    extra = dict.fromkeys(CAUSES, 0)
    if not missed:
        extra.update(in_flight=rand.randrange(9), granularity=rand.randrange(3) * 4097)
    total = sum(extra.values())
    return {"oracle": oracle, "scope": scope, "judged_pages": written * 20, "written_pages": written,
            "reported_pages": written - missed + total, "missed_pages": missed, "expected_missed_pages": missed, "extra_pages": total,
            "extra": extra, "amplification": (written - missed + total) / written}


def stall(rand, scale):
    edges = [200 * scale * 1.3 ** i for i in range(40)]
    return {"count": 9000, "p50": 210 * scale, "p99": 8800.25 * scale, "p999": 1.2e5 * scale, "max": 3e6 * scale, "median": 210 * scale,
            "min": 210 * scale, "ci95": [210 * scale, 210 * scale], "samples": [210 * scale] * 3,
            "histogram": {"from_ns": edges[:-1], "to_ns": edges[1:], "count": [1 + rand.randrange(1000) for _ in edges[1:]]}}


def bench_result(rand, tracker, ram, memory=256 << 20, pattern="random", vcpus=1, pages=6451, slower=1.0):
    supported = tracker != "soft-dirty"
    scale = (1 + TRACKERS.index(tracker)) * slower if tracker in TRACKERS else slower
    result = {"tracker": tracker, "ram": ram, "unit_bytes": 4096, "memory_bytes": memory, "vcpus": vcpus, "writer": "guest",
              "pattern": pattern, "pages": pages, "passes": 5, "runs": 3, "warmup": 1,
              "handler_cpu": "same" if tracker == "uffd-wp" else None, "status": "measured" if supported else "unsupported",
              "reason": None if supported else "this kernel has no soft-dirty bits", "accuracy": [], "ring_overflows": 0,
              "cost": dict.fromkeys(COSTS + ("guest_stall_ns",))}
    if supported:
        result["accuracy"] = [accuracy(rand, "write-list", "arena", tracker), accuracy(rand, "replica", "ram", tracker)]
        for cost in COSTS:
            result["cost"][cost] = statistics_of([TYPICAL[cost] * scale * (1 + rand.random() / 5) for _ in range(15)])
        result["cost"]["guest_stall_ns"] = stall(rand, scale)
    return result


def small_bench(seed=1, kernel=None):
    """Some trackers on two kinds of RAM, at several sizes of RAM and shares of dirty pages."""
    rand = random.Random(seed)
    results = [bench_result(rand, tracker, ram) for ram in RAMS[:3:2] for tracker in TRACKERS]
    for memory in (64 << 20, 1 << 30):
        results += [bench_result(rand, tracker, "shmem", memory, pages=memory // 40960, slower=memory / (256 << 20))
                    for tracker in TRACKERS[:6]]
    results += [bench_result(rand, tracker, "shmem", pages=pages) for tracker in TRACKERS[1:6] for pages in (655, 32000)]
    results += [bench_result(rand, tracker, "hugetlb-2M", pattern="stride") for tracker in TRACKERS[:6]]
    return document("bench", results, kernel)


def full_matrix():
    """All trackers x RAM kinds x patterns x 1 and 2 vCPUs: 336 results."""
    rand = random.Random(7)
    return document("bench", [bench_result(rand, tracker, ram, pattern=pattern, vcpus=vcpus) for ram in RAMS for pattern in PATTERNS
                              for vcpus in (1, 2) for tracker in TRACKERS])


def semantics(n_cases=170):
    verdicts = ("exact", "extra", "MISSED", "refused", "unsupported", None)
    rows = [{"case": f"group.case-{case}", "tracker": tracker, "ram": ram, "required": "what was written is reported, each time",
             "observed": "8 pages written, 8 reported", "verdict": verdicts[(case + at) % len(verdicts)], "written_pages": 8,
             "reported_pages": 8, "missed_pages": case % 7, "extra_pages": 0, "control": "4 lies, each found",
             "finding": f"What a VMM's author has to know of case {case}." if case % 3 == 0 else None}
            for case in range(n_cases) for at, tracker in enumerate(("kvm-bitmap", "pagemap-scan")) for ram in RAMS[:2]]
    return document("semantics", rows)


def migration():
    def one(tracker, moved_to):
        passes, pages = [], 262144
        for number in range(6):
            judged = dict(written_pages=pages, reported_pages=pages, missed_pages=0, extra=dict.fromkeys(CAUSES, 0))
            passes.append({"tracker": tracker, "harvest_ns": 4e5, "send_ns": pages * 3400.0, "sent_pages": pages, "judged": number > 0,
                           **(judged if number else dict.fromkeys(judged)), "amplification": 1.0 if number else None, "host_cpu_ns": 5e6})
            pages = max(pages // 11, 200)
        parts = dict(final_harvest=310000, final_send=820000, state_save=120000, state_send=90000, state_load=510000, resume=230000)
        return {"tracker": tracker, "moved_to": moved_to, "ram": "shmem", "memory_bytes": 1 << 30, "vcpus": 1, "transport": "unix",
                "load": "heavy", "pattern": "random", "pages": 24576, "bandwidth_limit": 0, "downtime_limit_ms": 300, "run": 1,
                "status": "completed", "reason": None, "ring_overflows": 0, "verified": True, "mismatched_pages": 0, "total_time_ms": 1016.5, "setup_time_ms": 2.5,
                "downtime_ms": 2.08, "downtime_breakdown_ns": parts, "transferred_bytes": 1190000000, "normal_pages": 290000,
                "duplicate_pages": 1000, "dirty_pages_rate": 24000, "throttle_percent": 0, "iterations": passes,
                "guest_stall_ns": {"count": 5000, "p50": 200, "p99": 50000.5, "p999": 200000, "max": 3e6, "samples": []}}
    return document("migration", [one("kvm-bitmap", None), one("kvm-bitmap", "pagemap-scan")])


def peer():
    return document("peer", [{"name": name, "peer": "QEMU", "unit": "ms", "dirtylab": {"median": ours}, "peer_value": {"median": theirs},
                              "ratio": {"median": ours / theirs, "ci95": [ours / theirs * 0.9, ours / theirs * 1.2]}}
                             for name, ours, theirs in (("total time", 412.5, 2310.0), ("downtime", 2.1, 9.8))])


def probe():
    return document("probe", [{"tracker": tracker, "ram": ram, "supported": tracker != "soft-dirty",
                               "reason": "this kernel has no soft-dirty bits" if tracker == "soft-dirty" else None,
                               "remedy": "a kernel with CONFIG_MEM_SOFT_DIRTY" if tracker == "soft-dirty" else None}
                              for tracker in TRACKERS for ram in RAMS])


YARDSTICK = """Test iterations: 2
guest physical test memory: [0xfbfffc000, 0xfffffc000)
Populate memory time: 0.201452560s
Enabling dirty logging time: 0.000451670s

Iteration 1 dirty memory time: 0.051582140s
Iteration 1 get dirty log time: 0.000010510s
Iteration 1 clear dirty log time: 0.000421730s
Iteration 2 dirty memory time: 0.046593760s
Iteration 2 get dirty log time: 0.000002110s
Iteration 2 clear dirty log time: 0.000418020s
Disabling dirty logging time: 0.002948490s
Get dirty log over 2 iterations took 0.000012620s. (Avg 0.000006310s/iteration)
"""


def poison(value, strings):
    """The same document with every string that may be free text replaced by a hostile one."""
    if isinstance(value, dict):
        return {key: inner if key in ("schema", "status", "verdict") else poison(inner, strings) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner, strings) for inner in value]
    return next(strings) if isinstance(value, str) else value
