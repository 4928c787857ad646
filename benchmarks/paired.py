"""Training against an earlier commit, step by step in turn, and against networks of others.

A worktree of the earlier commit is made in a temporary folder. For every case two processes hold the same
crystals of one release, one with the earlier code and one with this, and take the same training steps in
turn, so that whatever else the machine does slows both. The ratio of each pair is taken, and their median.

    python benchmarks/paired.py RELEASE [--commit 65f685a] [--rounds 9]

RELEASE must be one that the earlier commit reads: built by it, or of its format.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from train import OTHERS

#: Cases: name, model, options, and those of this commit that the earlier one does not have.
CASES = [
    ("paper, S8n without symmetry breaking", "ecn", {"group": "S8n", "symmetry_breaking": False}, {}),
    (
        "the same, lengths equal within 1e-4 A",
        "ecn",
        {"group": "S8n", "symmetry_breaking": False},
        {"same_length": 1e-4},
    ),
    ("paper, S8 without symmetry breaking", "ecn", {"group": "S8", "symmetry_breaking": False}, {}),
    ("paper, P1bar without symmetry breaking", "ecn", {"group": "P1bar", "symmetry_breaking": False}, {}),
    (
        "best, S8",
        "ecn",
        {"width": 64, "n_layers": 2, "n_centres": 40, "basis_width": 0.3, "symmetry_breaking": False},
        {},
    ),
    ("CGCNN", "cgcnn", {}, {}),
    ("MEGNet", "megnet", {}, {}),
    ("SchNet", "schnet", {}, {}),
]

#: Crystals of a step, and steps of a round.
BATCH, STEPS = 128, 2


def serve(release: Path, name: str, options: dict[str, object]) -> None:
    """Train when asked to: for every line on standard input one round, and its CPU seconds as a line."""
    import torch

    torch.set_num_threads(1)
    try:
        from ecn.data.rows import load_part, open_release
        from ecn.inference.forward import max_edges
        from ecn.targets.tasks import task
    except ImportError:  # the house before it was split into rooms
        from ecn.evaluation import max_edges
        from ecn.tasks import task

        from ecn.data import load_split as load_part
        from ecn.data import open_release

    data = load_part(open_release(release), "train", [task("formation_energy")], limit=BATCH * STEPS)
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    if name in OTHERS:
        from torch_geometric.data import Batch
        from train import geometric

        from ecn.data.pyg import CrystalGraphs

        network, predict = geometric(name)
        graphs = [CrystalGraphs(data)[k] for k in range(len(data))]
        crystals = data.crystals

        def outputs(part: torch.Tensor) -> torch.Tensor:
            return predict(Batch.from_data_list([graphs[k] for k in part.tolist()]))

        def passes(index: torch.Tensor) -> list[torch.Tensor]:
            return [index]

    else:
        from ecn.models import build

        network = build(name, options)
        began = time.process_time()
        crystals = network.prepare(data.crystals) if hasattr(network, "prepare") else data.crystals
        prepared = time.process_time() - began

        def outputs(part: torch.Tensor) -> torch.Tensor:
            return network(crystals.batch(part))

        def passes(index: torch.Tensor) -> list[torch.Tensor]:
            return crystals.passes(index, max_edges(network, cpu))

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    everything = torch.arange(len(data))
    batches = [crystals.batch(index) for index in everything.split(BATCH)]
    about = {
        "edges": sum(len(batch.edge_source) for batch in batches),
        "nodes": sum(len(batch.atomic_numbers) for batch in batches),
        "prepared": prepared if name not in OTHERS else 0.0,
        "crystals": len(data),
    }
    del batches

    def round_() -> float:
        began = time.process_time()
        for index in everything.split(BATCH):
            optimizer.zero_grad()
            for part in passes(index):
                loss = outputs(part).sub(data.labels[part, 0]).square().sum() / len(index)
                loss.backward()
            optimizer.step()
        return time.process_time() - began

    round_()  # so that its code is loaded
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(round_(), flush=True)


class Side:
    """A process with the code of one commit."""

    def __init__(self, code: Path, release: Path, name: str, options: dict[str, object]) -> None:
        arguments = [str(release.resolve()), "--serve", name, json.dumps(options)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = json.loads(self._line())

    def _line(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process ended; its error is above")
        return line

    def round(self) -> float:
        """CPU seconds of one round."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--commit", default="65f685a")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", nargs=2, metavar=("MODEL", "OPTIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.release, options.serve[0], json.loads(options.serve[1]))
        return

    from common import save

    here = Path(__file__).resolve().parents[1]
    rows, values = [], {}
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        git = ["git", "-C", str(here), "worktree"]
        subprocess.run([*git, "add", "--detach", str(code), options.commit], check=True, capture_output=True)
        try:
            for case, model, shared, ours in CASES:
                earlier = Side(code, options.release, model, shared)
                now = Side(here, options.release, model, shared | ours)
                pairs = [(earlier.round(), now.round()) for _ in range(options.rounds)]
                values[case] = {"pairs": pairs, "earlier": earlier.about, "now": now.about}
                ratios = sorted(a / b for a, b in pairs)
                seconds = [
                    1000 * statistics.median(column) / now.about["crystals"]
                    for column in zip(*pairs, strict=True)
                ]
                rows.append(
                    [
                        case,
                        f"{seconds[0]:.2f}",
                        f"{seconds[1]:.2f}",
                        f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})",
                        f"{earlier.about['edges']:,}",
                        f"{now.about['edges']:,}",
                    ]
                )
                for side in (earlier, now):
                    side.close()
                print(rows[-1], file=sys.stderr)
            for case in OTHERS:
                side = Side(here, options.release, case, {})
                seconds = [side.round() for _ in range(options.rounds)]
                values[case] = {"seconds": seconds, "now": side.about}
                each = 1000 * statistics.median(seconds) / side.about["crystals"]
                rows.append([case, "", f"{each:.2f}", "", "", f"{side.about['edges']:,}"])
                side.close()
        finally:
            subprocess.run([*git, "remove", "--force", str(code)], check=True, capture_output=True)
    save(
        "paired",
        f"Training now and at {options.commit}",
        ["network", "ms per crystal then", "ms per crystal now", "times faster", "bonds then", "bonds now"],
        rows,
        "CPU time of a training step (batch, forward, backward, AdamW) on one core, float32, batches of "
        f"{BATCH} of the same {BATCH * STEPS} crystals, both commits in turn; the median of "
        f"{options.rounds} paired ratios, and their range. Bonds then are those of the "
        "crystals, of which that code may merge parallel ones in every step; now, those gone through. "
        "What is done once for a data set is not in it: "
        + ", ".join(
            f"{case} {1000 * found['now']['prepared'] / found['now']['crystals']:.2f} ms per crystal"
            for case, found in values.items()
            if case not in OTHERS and found["now"]["prepared"]
        )
        + ".",
        **values,
    )


if __name__ == "__main__":
    main()
