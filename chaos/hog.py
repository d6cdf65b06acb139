"""Joins a control group and takes memory in it until the kernel steps in: CGROUP_PROCS BYTES.

A program of its own, so that the kernel charges and ends this process and not chaos. It takes no more than it was told
and then ends. It imports next to nothing, so that what it is charged is what it takes.
"""

import sys

STEP_BYTES = 1 << 20


def main(group: str, most: int) -> None:
    with open(group, "w", encoding="ascii") as file:
        file.write("0")
    taken = [bytearray(b"x") * STEP_BYTES for _ in range(most // STEP_BYTES + 1)]
    taken.clear()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
