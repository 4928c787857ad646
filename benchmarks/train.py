"""Time and memory of a training step: ours, the dense definition, and networks of PyTorch Geometric.

The dense definition is eq. 26 as it stands: every edge is a tensor with a slot for each of the eight
cells, and both maps are full matrices between the slots, with tied blocks. It is checked to give the
same numbers as the closed form before it is timed. The networks of PyTorch Geometric are written as
its users write them, on its own batches, with the bonds of the release; so is the MEGNet of matgl, where it
is installed (``pip install --no-deps matgl``). Every case takes the same crystals, in a process of its own::

    python benchmarks/train.py releases/mp-four-targets
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Name in the table -> model and options; None for networks that are not ours.
CASES: dict[str, tuple[str, dict] | None] = {
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
    "CGCNN, PyTorch Geometric": None,
    "MEGNet": ("megnet", {}),
    "SchNet": ("schnet", {}),
    "SchNet, PyTorch Geometric": None,
}
if importlib.util.find_spec("matgl"):
    CASES["MEGNet, matgl"] = None

#: Networks of others, on batches of PyTorch Geometric.
OTHERS = [case for case, ours in CASES.items() if ours is None]

#: glibc gives freed memory back at once, so that the peak of a process is that of its tensors.
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}

#: glibc keeps freed memory, so that no tensor begins on pages that the system must clear first.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}

#: Crystals in a batch: in one pass, and in the passes of a training.
WHOLE, TRAINING = 8, 128

#: Cases whose large batch is also run in one pass, with the allocator as it is and with kept memory.
ALLOCATED = ("ECN S8", "ECN S8, quotient", "CGCNN, PyTorch Geometric")

#: The case whose step is taken apart, and how many of its operators are told.
PROFILED, N_OPERATORS = "ECN S8, quotient", 10


def make_dense(network) -> None:
    """Let the edge functions of a network compute every slot."""
    import torch
    from torch.nn.functional import linear, silu

    from ecn.models.layers import EdgeFunction

    def forward(self, x, e, graph, *, same_atom):
        colours = torch.from_numpy(self.patterns[0].matrix())
        own = graph.expanded()
        e = e.repeat_interleave(graph.copies, dim=0)
        source, target, weight = own.source, own.target, own.weight
        if same_atom:
            # Every atom has a node of its own on the supercell, reduced or not.
            chosen = torch.nonzero(source // 8 == target // 8)[:, 0]
            source, target, weight, e = source[chosen], target[chosen], weight[chosen], e[chosen]
        edges = torch.arange(len(source))
        v = torch.cat([x[target], x[source], e], dim=1)
        slots = v.new_zeros(len(v), 8, v.shape[1])
        slots[edges, source % 8] = v
        # Rows: slot k and channel out; columns: slot c_j and channel in.
        w1 = self.weight1[colours.T].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        w2 = self.weight2[colours.T].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        h = silu(linear(slots.flatten(1), w1, self.bias1.repeat(8)))
        out = silu(linear(h, w2, self.bias2.repeat(8))).unflatten(1, (8, -1))[edges, target % 8]
        return torch.zeros_like(x).index_add(0, target, weight[:, None] * self.gate(out))

    for module in network.modules():
        if isinstance(module, EdgeFunction):
            module.forward = forward.__get__(module)


def geometric(case: str):
    """A network of others, from a batch of PyTorch Geometric to one number for every crystal."""
    import torch
    from torch import nn
    from torch_geometric.nn import CGConv, SchNet, global_mean_pool
    from torch_geometric.nn.models.schnet import GaussianSmearing

    class Bonds(nn.Module):
        """Instead of a search for neighbours: the edges of the batch, and their lengths."""

        def forward(self, pos, batch):
            return self.data.edge_index, self.data.edge_attr[:, 0]

    if case.startswith("SchNet"):
        network = SchNet(
            hidden_channels=64, num_filters=64, num_gaussians=61, cutoff=6.0, interaction_graph=Bonds()
        )

        def predict(data) -> torch.Tensor:
            network.interaction_graph.data = data
            return network(data.z, data.pos, data.batch)[:, 0]

        return network, predict

    if case.startswith("MEGNet"):
        from matgl.models import MEGNet

        from mpclean.vocabulary.elements import SYMBOLS

        megnet = MEGNet(element_types=tuple(SYMBOLS[1:]))

        def predict_with_states(data) -> torch.Tensor:
            cell = data.cell[data.batch[data.edge_index[0]]]
            data.pbc_offshift = (data.edge_image[:, None] @ cell)[:, 0]
            data.node_type = data.z - 1  # places among the element types
            return megnet(data, data.pos.new_zeros(data.num_graphs, 2))

        return megnet, predict_with_states

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(119, 64)
            self.basis = GaussianSmearing(0.0, 8.0, 41)
            self.convolutions = nn.ModuleList(CGConv(64, 41, batch_norm=True) for _ in range(3))
            self.head = nn.Sequential(nn.Linear(64, 128), nn.Softplus(), nn.Linear(128, 1))

        def forward(self, data) -> torch.Tensor:
            x, e = self.embedding(data.z), self.basis(data.edge_attr)
            for convolution in self.convolutions:
                x = nn.functional.softplus(convolution(x, data.edge_index, e))
            return self.head(global_mean_pool(x, data.batch))[:, 0]

    network = Network()
    return network, network


def measure(release: Path, case: str, mode: str) -> dict[str, Any]:
    """Median CPU seconds of a step, the memory that it adds, and what it went over."""
    import torch
    from torch_geometric.data import Batch

    from ecn.data.pyg import CrystalGraphs
    from ecn.data.rows import load_part, open_release
    from ecn.inference.forward import max_edges
    from ecn.models import build
    from ecn.targets.tasks import task

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load_part(open_release(release), "train", [task("formation_energy")], limit=16 * TRAINING)
    n_crystals = WHOLE if mode in ("whole", "memory") else TRAINING
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:n_crystals]
    crystals, passes = data.crystals, [index]
    if CASES[case] is None:
        network, predict = geometric(case)
        graphs = CrystalGraphs(data)
        held = {k: graphs[k] for k in index.tolist()}  # as its users hold them; a step collates them

        def outputs(part: torch.Tensor) -> torch.Tensor:
            return predict(Batch.from_data_list([held[k] for k in part.tolist()]))

    else:
        name, options = CASES[case]
        network = build(name, options)
        crystals = network.prepare(crystals)  # once for a data set, so not in the steps
        if mode == "training":
            passes = crystals.passes(index, max_edges(network, torch.device("cpu")))

        def outputs(part: torch.Tensor) -> torch.Tensor:
            return network(crystals.batch(part))

    if "dense" in case:
        expected = outputs(index[:1])
        make_dense(network)
        torch.testing.assert_close(outputs(index[:1]), expected, rtol=1e-3, atol=1e-5)

    def step() -> float:
        began = time.process_time()
        network.zero_grad()
        for part in passes:
            loss = outputs(part).sub(data.labels[part, 0]).square().sum() / len(index)
            loss.backward()
        return time.process_time() - began

    edges = int(sum(len(crystals.batch(part).edge_source) for part in passes))
    outputs(index[:2]).sum().backward()  # so that its code is loaded
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now: loading took more
    before = memory("VmRSS")
    seconds = [step() for _ in range(1 if "dense" in case else 5)]  # one takes minutes: no noise matters
    found = {
        "seconds": statistics.median(seconds),
        "memory_mib": memory("VmHWM") - before,
        "edges": edges,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    return found | ({"profile": profiled(step)} if mode == "training" and case == PROFILED else {})


def profiled(step: Callable[[], float]) -> list[dict[str, Any]]:
    """The operators that take most of the CPU time of a step: name, calls, share of it by themselves."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    operators = sorted(profiler.key_averages(), key=lambda one: -one.self_cpu_time_total)
    whole = sum(one.self_cpu_time_total for one in operators)
    return [
        {"operator": one.key, "calls": one.count, "share": one.self_cpu_time_total / whole}
        for one in operators[:N_OPERATORS]
    ]


def measure_all(release: Path, mode: str) -> dict[str, dict[str, Any]]:
    """`measure` every case that a mode has, each in a process of its own."""
    import torch_geometric.nn  # noqa: F401  # imported once, for all processes

    import ecn.training  # noqa: F401

    cases = ALLOCATED if mode == "large" else CASES
    context, found = multiprocessing.get_context("fork"), {}
    for case in cases:
        if mode == "training" and "dense" in case:
            continue  # minutes a step
        with context.Pool(1) as pool:
            found[case] = pool.apply(measure, (release, case, mode))
        print(case, mode, found[case], file=sys.stderr)
    return found


def memory(name: str) -> float:
    """MiB of this process as Linux counts them: ``VmRSS`` now, ``VmHWM`` the peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--mode", help=argparse.SUPPRESS)  # what a process with its own allocator measures
    options = parser.parse_args()
    if options.mode:
        print(json.dumps(measure_all(options.release, options.mode)))
        return

    from common import save

    def run(mode: str, settings: dict[str, str]) -> dict[str, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, __file__, str(options.release), "--mode", mode],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | settings,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    whole, memory, training = run("whole", {}), run("memory", EXACT_MEMORY), run("training", {})
    given, kept = run("large", {}), run("large", KEPT_MEMORY)
    rows = [
        [
            case,
            f"{whole[case]['parameters']:,}",
            f"{whole[case]['seconds']:.3f}",
            f"{memory[case]['memory_mib']:,.0f}",
            *(
                (f"{training[case]['seconds']:.2f}", f"{TRAINING / training[case]['seconds']:.1f}")
                if case in training
                else ("", "")
            ),
        ]
        for case in CASES
    ]

    def times(found: dict[str, dict[str, Any]], slow: str, fast: str, key: str = "seconds") -> str:
        return f"{found[slow][key] / found[fast][key]:.1f} times"

    lines = []
    for group in ("S8", "P1bar"):
        closed, dense, quotient = f"ECN {group}", f"ECN {group}, dense definition", f"ECN {group}, quotient"
        lines.append(
            f"{group}: the dense definition takes {times(whole, dense, closed)} the time and "
            f"{times(memory, dense, closed, 'memory_mib')} the memory of the closed form; the supercell "
            f"{times(training, closed, quotient)} the time of the quotient."
        )
    lines.append(
        f"{TRAINING} crystals in one pass, glibc as it is, and told to keep freed memory ("
        + " ".join(f"{name}={value}" for name, value in KEPT_MEMORY.items())
        + "): "
        + "; ".join(
            f"{case} {given[case]['seconds']:.2f} and {kept[case]['seconds']:.2f} s" for case in given
        )
        + "."
    )
    lines.append(
        f"Where the CPU time of a step of {PROFILED} goes ({TRAINING} crystals, torch.profiler, operators by "
        "themselves): "
        + ", ".join(
            f"{one['operator']} {one['share']:.0%} ({one['calls']:,} calls)"
            for one in training[PROFILED]["profile"]
        )
        + "."
    )
    save(
        "train",
        "A training step of every model",
        [
            "model",
            "parameters",
            f"CPU s, {WHOLE} crystals at once",
            f"MiB, {WHOLE} crystals at once",
            f"CPU s, {TRAINING} crystals",
            "crystals/CPU s",
        ],
        rows,
        "Forward and backward on one core, float32, default options, the same crystals "
        f"({training['SchNet, PyTorch Geometric']['edges']:,} bonds among {TRAINING} of them); median of 5 "
        "steps (one of the dense definition), each with the making of its batch; ours on crystals that were "
        "prepared before, as a training does once (equal nodes and bonds merged); the peak of resident "
        "memory during the steps above what was resident before them, in a run of its own. "
        f"Ours take {TRAINING} crystals in passes of bounded size, as in training; networks of "
        "PyTorch Geometric at once.\n\n" + "\n".join(f"- {line}" for line in lines),
        whole=whole,
        memory=memory,
        training=training,
        allocator={"given": given, "kept": kept},
    )


if __name__ == "__main__":
    main()
