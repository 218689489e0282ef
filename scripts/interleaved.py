# SPDX-License-Identifier: MIT
"""What is said of ratios that were measured in alternation."""
import random
import statistics


def interval(values):
    """Percentile bootstrap of the median, 95 %; seeded: the same samples give the same interval."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[49], medians[1949]
