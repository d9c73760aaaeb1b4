"""Full rounds of the garbage collector: short however much is held."""

import json
import subprocess
import sys

# A process of its own: what is passed over is so for the rest of its life.
PROGRAM = """
import gc, json
from socketplane.controller.memory import MANY, keep_rounds_short
keep_rounds_short()
few = [[] for _ in range(MANY // 4)]
gc.collect()
small = gc.get_freeze_count()
many = [[number] for number in range(2 * MANY)]
gc.collect()
large, left = gc.get_freeze_count(), len(gc.get_objects())
cycles = [[] for _ in range(10)]
for one in cycles: one.append(one)
del one, cycles
print(json.dumps({"small": small, "large": large, "left": left, "found": gc.collect()}))
"""


def test_what_is_held_is_passed_over_once_there_is_much_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, stdout=subprocess.PIPE, text=True)
    seen = json.loads(done.stdout)
    assert seen["small"] == 0
    assert seen["large"] > 200_000
    assert seen["left"] < 1000
    assert seen["found"] >= 10  # new cycles are found as ever
