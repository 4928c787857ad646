"""Time and memory of a training step of every model, beside the dense definition of its messages.

The dense definition is eq. 26 as it stands: every edge is a tensor with a slot for each of the eight
cells, and both maps are full matrices between the slots, with tied blocks. It is checked to give the
same numbers as the closed form before it is timed. Every case runs in a process of its own::

    python benchmarks/models.py releases/mp-four-targets
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

#: Name in the table -> model and options.
CASES = {
    "ECN S8, dense definition": ("ecn", {}),
    "ECN S8": ("ecn", {}),
    "ECN S8, shared output weights": ("ecn", {"share_output_weights": True}),
    "ECN S8, quotient": ("ecn", {"symmetry_breaking": False}),
    "ECN P1bar, dense definition": ("ecn", {"group": "P1bar"}),
    "ECN P1bar": ("ecn", {"group": "P1bar"}),
    "ECN P1bar, quotient": ("ecn", {"group": "P1bar", "symmetry_breaking": False}),
    "ECN S8n": ("ecn", {"group": "S8n"}),
    "ECN lattice": ("ecn", {"group": "lattice"}),
    "E3ECN S8": ("e3ecn", {}),
    "E3ECN S8, quotient": ("e3ecn", {"symmetry_breaking": False}),
    "CGCNN": ("cgcnn", {}),
    "MEGNet": ("megnet", {}),
    "SchNet": ("schnet", {}),
}

#: glibc gives freed memory back at once, so that the peak of a process is that of its tensors.
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}

#: Crystals in the batch of either comparison: in one pass, and in the passes of a training.
WHOLE, TRAINING = 8, 128


def make_dense(network) -> None:
    """Let the edge functions of a network compute every slot."""
    import torch
    from torch.nn.functional import linear, silu

    from ecn.nn import EdgeFunction

    def forward(self, x, e, graph, *, same_atom):
        colours = torch.from_numpy(self.patterns[0].matrix())
        own = graph.expanded()
        e = e.repeat_interleave(graph.copies, dim=0)
        source, target = own.source, own.target
        if same_atom:
            chosen = torch.nonzero(source // 8 == target // 8)[:, 0]
            source, target, e = source[chosen], target[chosen], e[chosen]
        edges = torch.arange(len(source))
        v = torch.cat([x[target], x[source], e], dim=1)
        slots = v.new_zeros(len(v), 8, v.shape[1])
        slots[edges, source % 8] = v
        # Rows: slot k and channel out; columns: slot c_j and channel in.
        w1 = self.weight1[colours.T].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        w2 = self.weight2[colours.T].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        h = silu(linear(slots.flatten(1), w1, self.bias1.repeat(8)))
        out = silu(linear(h, w2, self.bias2.repeat(8))).unflatten(1, (8, -1))[edges, target % 8]
        return torch.zeros_like(x).index_add(0, target, self.gate(out))

    for module in network.modules():
        if isinstance(module, EdgeFunction):
            module.forward = forward.__get__(module)


def measure(release: Path, case: str, n_crystals: int, in_passes: bool, steps: int) -> dict[str, float]:
    import torch

    from ecn.data import load_split, open_release
    from ecn.evaluation import max_edges
    from ecn.models import build
    from ecn.tasks import task

    torch.set_num_threads(1)
    torch.manual_seed(0)
    name, options = CASES[case]
    network = build(name, options)
    data = load_split(open_release(release), "train", task("formation_energy"), limit=16 * TRAINING)
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:n_crystals]
    passes = data.crystals.passes(index, max_edges(network, torch.device("cpu"))) if in_passes else [index]
    if "dense" in case:
        crystals = data.crystals.batch(index[:1])
        expected = network(crystals)
        make_dense(network)
        torch.testing.assert_close(network(crystals), expected, rtol=1e-3, atol=1e-5)

    def step() -> float:
        began = time.perf_counter()
        network.zero_grad()
        for part in passes:
            loss = network(data.crystals.batch(part)).sub(data.labels[part]).square().sum() / len(index)
            loss.backward()
        return time.perf_counter() - began

    before = peak()
    seconds = [step() for _ in range(steps)]
    return {
        "seconds": statistics.median(seconds),
        "memory_mib": peak() - before,
        "edges": int(sum(len(data.crystals.batch(part).edge_source) for part in passes)),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)  # what a process of its own measures
    options = parser.parse_args()
    if options.case:
        case, n_crystals, in_passes = options.case
        steps = 1 if "dense" in case else 5  # one takes minutes, and no noise matters there
        print(json.dumps(measure(options.release, case, int(n_crystals), in_passes == "1", steps)))
        return

    from common import save

    found: dict[str, dict[str, dict[str, float]]] = {}
    for case in CASES:
        modes = (("whole", WHOLE, {}), ("memory", WHOLE, EXACT_MEMORY), ("training", TRAINING, {}))
        for mode, n_crystals, settings in modes:
            command = [sys.executable, __file__, str(options.release), "--case", case]
            done = subprocess.run(
                [*command, str(n_crystals), str(int(mode == "training"))],
                env=os.environ | {"OMP_NUM_THREADS": "1"} | settings,
                stdout=subprocess.PIPE,
                check=True,
            )
            found.setdefault(case, {})[mode] = json.loads(done.stdout.splitlines()[-1])
            print(case, mode, found[case][mode], file=sys.stderr)
    rows = [
        [
            case,
            f"{modes['whole']['parameters']:,}",
            f"{modes['whole']['seconds']:.3f}",
            f"{modes['memory']['memory_mib']:,.0f}",
            f"{modes['training']['seconds']:.2f}",
            f"{TRAINING / modes['training']['seconds']:.1f}",
        ]
        for case, modes in found.items()
    ]

    def times(slow: str, fast: str, mode: str, key: str = "seconds") -> str:
        return f"{found[slow][mode][key] / found[fast][mode][key]:.1f} times"

    lines = []
    for group in ("S8", "P1bar"):
        closed, dense, quotient = f"ECN {group}", f"ECN {group}, dense definition", f"ECN {group}, quotient"
        lines.append(
            f"{group}: the dense definition takes {times(dense, closed, 'training')} the time "
            f"({times(dense, closed, 'whole')} at once) and {times(dense, closed, 'memory', 'memory_mib')} "
            f"the memory of the closed form; the supercell {times(closed, quotient, 'training')} the time "
            "of the quotient."
        )
    save(
        "models",
        "A training step of every model",
        [
            "model",
            "parameters",
            f"s, {WHOLE} crystals at once",
            f"MiB, {WHOLE} crystals at once",
            f"s, {TRAINING} crystals in passes",
            "crystals/s",
        ],
        rows,
        "Forward and backward on one core, float32, default options, the same crystals "
        f"({found['ECN S8']['training']['edges']:,} bonds among {TRAINING} of them); median of 5 steps "
        "(one of the dense definition), memory above that of the process before the first, in a run of "
        "its own. Training splits a batch into passes of bounded size, and so does the second "
        "comparison.\n\n" + "\n".join(f"- {line}" for line in lines),
        cases=found,
    )


if __name__ == "__main__":
    main()
