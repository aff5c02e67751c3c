"""The simulated cloud beside the vectorised simulators researchers use: env-steps a second.

Run: `python -m tests.benchmarks.bench_cloud [--batches 1 32 1024 4096] [--rounds 3] [--device cpu]
[--peers FOLDER | --without-peers]`

An env-step moves all four agents of one environment. Ours (eager and compiled, everything switched
on) and the peers run one thread each, in processes of their own, asked in turn so that noise hits
all alike; medians over the rounds, random actions drawn beforehand. Peers step without the resets
of their episodes; ours is given both ways, because drawing an episode's weather costs as well.
Bars: eager at least VMAS `balance`, compiled at least JaxMARL `simple_spread`, both at the largest
batch; the PettingZoo face at least MPE `simple_spread`. Nothing is asserted.

Also: what a first call costs, cost by zones, bytes a step moves against the memory's bandwidth, and
memory over 2,000 steps. Peers are installed once into FOLDER (default data/peers).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.cloud_peers import PINNED, TITLES, install, median

ROOT = Path(__file__).parents[2]
MODES = ("eager", "compiled")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ZONES = (1, 3, 6)
ZONES_BATCH = 1024
MEMORY_STEPS = 2_000

Answer = dict[str, float]


class NoAnswerError(RuntimeError):
    """A worker ended instead of answering."""


class Process:
    """A worker that answers one line of JSON with another."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, **environment},
        )

    def ask(self, **request: Any) -> Answer:
        """The worker's answer.

        Raises:
            NoAnswerError: it ended; the message is its last line of error.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise NoAnswerError("the worker has no pipes")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise NoAnswerError((self._errors.read().strip() or "no error given").splitlines()[-1])
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._errors.close()


def ours(cache: str) -> Process:
    """A worker of the project's simulator whose compiler caches in `cache`."""
    return Process(["-m", "tests.benchmarks.cloud_worker"], {"TORCHINDUCTOR_CACHE_DIR": cache})


def start_peers(folder: Path) -> dict[str, Process]:
    """Install and start the peers; says which could not be."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    peers = {}
    for name in PINNED:
        problem = install(name, folder, uv) if uv else "there is no uv to install it with"
        if problem:
            say(f"{TITLES[name]}: NOT MEASURED, it could not be installed: {problem}")
            continue
        script = str(Path(__file__).with_name("cloud_peers.py"))
        peers[name] = Process([script, name], {"PYTHONPATH": str(folder / name)})
    return peers


def say(line: str = "") -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be, numbers to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        first, *rest = row
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        say("  ".join((first.ljust(widths[0]), *cells)))
    say()


def in_turn(
    asked: Mapping[str, tuple[Process, dict[str, Any]]], rounds: int, seconds: float
) -> dict[str, Answer]:
    """Ask each worker in turn, `rounds` times; medians of what each answered."""
    heard: dict[str, list[Answer]] = {name: [] for name in asked}
    lost: set[str] = set()
    for _ in range(rounds):
        for name, (process, request) in asked.items():
            if name in lost:
                continue
            try:
                heard[name].append(process.ask(seconds=seconds, **request))
            except NoAnswerError as problem:
                say(f"{name}: NOT MEASURED: {problem}")
                lost.add(name)
    return {
        name: {key: median([answer[key] for answer in answers]) for key in answers[0]}
        for name, answers in heard.items()
        if answers and name not in lost
    }


def throughput(
    worker: Process, peers: Mapping[str, Process], arguments: argparse.Namespace
) -> dict[str, dict[int, Answer]]:
    """Rates of the batched faces by system and batch size."""
    measured: dict[str, dict[int, Answer]] = {}
    for batch in arguments.batches:
        request = {"what": "steps", "batch": batch, "device": arguments.device}
        asked: dict[str, tuple[Process, dict[str, Any]]] = {
            f"ours, {mode}": (worker, {**request, "mode": mode}) for mode in MODES
        }
        asked |= {
            TITLES[name]: (process, {"batch": batch})
            for name, process in peers.items()
            if name != "mpe2"
        }
        for name, answer in in_turn(asked, arguments.rounds, arguments.seconds).items():
            measured.setdefault(name, {})[batch] = answer
    head = ("env-steps/s at batch", *(f"{batch:,}" for batch in arguments.batches))
    rows = []
    for name, by_batch in measured.items():
        for key, title in (("rate", name), ("rate_with_resets", f"{name}, with resets")):
            cells = [by_batch.get(batch, {}).get(key) for batch in arguments.batches]
            if any(cells):
                rows.append((title, *(f"{cell:,.0f}" if cell else "-" for cell in cells)))
    table(head, rows)
    return measured


def bars(measured: Mapping[str, Mapping[int, Answer]], batch: int) -> None:
    """The two ratios of the batched bars."""
    for mode, peer in (("eager", "vmas"), ("compiled", "jaxmarl")):
        us, them = measured.get(f"ours, {mode}", {}), measured.get(TITLES[peer], {})
        if batch in us and batch in them:
            plain = us[batch]["rate"] / them[batch]["rate"]
            whole = us[batch]["rate_with_resets"] / them[batch]["rate"]
            say(
                f"ratio at {batch:,}, {mode} / {TITLES[peer]}: {plain:.2f}, "
                f"with our resets {whole:.2f} (bar 1)"
            )
    say()


def faces(worker: Process, peers: Mapping[str, Process], arguments: argparse.Namespace) -> None:
    """The PettingZoo face, one environment."""
    asked: dict[str, tuple[Process, dict[str, Any]]] = {
        f"ours, {mode}": (worker, {"what": "face", "mode": mode, "device": "cpu"}) for mode in MODES
    }
    if "mpe2" in peers:
        asked[TITLES["mpe2"]] = (peers["mpe2"], {"batch": 1})
    answers = in_turn(asked, arguments.rounds, arguments.seconds)
    rows = [
        (name, f"{answer['rate']:,.0f}", f"{1e6 / answer['rate']:,.0f}")
        for name, answer in answers.items()
    ]
    table(("PettingZoo face, one environment", "steps/s", "µs"), rows)
    peer = answers.get(TITLES["mpe2"])
    for mode in MODES:
        if peer and f"ours, {mode}" in answers:
            ratio = answers[f"ours, {mode}"]["rate"] / peer["rate"]
            say(f"ratio, {mode} / {TITLES['mpe2']}: {ratio:.2f} (bar 1, fastest mode)")
    say()


def by_zones(worker: Process, arguments: argparse.Namespace) -> None:
    """Cost of a step against the number of zones."""
    rows = []
    for mode in MODES:
        costs = []
        for zones in ZONES:
            answer = worker.ask(
                what="steps",
                batch=ZONES_BATCH,
                mode=mode,
                device=arguments.device,
                overrides={"zones": zones},
                seconds=arguments.seconds,
            )
            costs.append(1e6 / answer["rate"])
        growth = (costs[-1] / costs[0]) / (ZONES[-1] / ZONES[0])
        rows.append((f"ours, {mode}", *(f"{cost:.2f}" for cost in costs), f"{growth:.2f}"))
    head = (f"µs per env-step at {ZONES_BATCH:,}, by zones", *map(str, ZONES), "cost / linear")
    table(head, rows)


def what_bounds(
    worker: Process, measured: Mapping[str, Mapping[int, Answer]], arguments: argparse.Namespace
) -> None:
    """Bytes moved against what the machine can move."""
    batch = max(arguments.batches)
    moved = worker.ask(what="traffic", batch=batch, device=arguments.device)
    speed = worker.ask(what="bandwidth", bytes=moved["least"], seconds=1.0, device=arguments.device)
    say(
        f"at {batch:,}: state in and out, weather, actions and results are "
        f"{moved['least'] / 1e6:.1f} MB a step ({moved['least'] / batch:,.0f} bytes an env-step); "
        f"eager's {moved['operations']:.0f} operations move {moved['eager'] / 1e6:.0f} MB"
    )
    say(
        f"a torch copy moves {speed['memory'] / 1e9:.1f} GB/s in memory, "
        f"{speed['same_size'] / 1e9:.1f} GB/s at the step's own size"
    )
    for mode, key in (("eager", "eager"), ("compiled", "least")):
        answer = measured.get(f"ours, {mode}", {}).get(batch)
        if answer:
            step_s = batch / answer["rate"]
            share = moved[key] / speed["same_size"] / step_s
            bound = "bytes" if share > 0.5 else "arithmetic and calls, not by bytes"
            say(
                f"ours, {mode}: {step_s * 1e3:.2f} ms a step, {share:.0%} of it the time to copy "
                f"{moved[key] / 1e6:.0f} MB: bound by {bound}"
            )
    say()


def first_calls(
    measured: Mapping[str, Mapping[int, Answer]], cache: str, arguments: argparse.Namespace
) -> None:
    """What compiling costs, and what torch's cache leaves of it."""
    compiled = measured.get("ours, compiled", {})
    cold = ", ".join(
        f"{answer['first_s']:.0f} s at {batch:,}" for batch, answer in compiled.items()
    )
    if not cold:
        return
    again = ours(cache)
    warm = again.ask(
        what="steps", batch=max(compiled), mode="compiled", device=arguments.device, seconds=0.1
    )
    again.close()
    say(
        f"first call, compiled: {cold} with an empty cache; {warm['first_s']:.0f} s at "
        f"{max(compiled):,} in a new process with torch's cache filled"
    )


def memory(cache: str, arguments: argparse.Namespace) -> None:
    """Peak resident memory must not grow with the number of steps."""
    worker = ours(cache)
    peak = worker.ask(
        what="memory", batch=ZONES_BATCH, mode="eager", device=arguments.device, steps=MEMORY_STEPS
    )
    worker.close()
    say(
        f"peak memory at {ZONES_BATCH:,}, eager: {peak['early']:.0f} MiB after the first episode, "
        f"{peak['late']:.0f} MiB after {MEMORY_STEPS:,} steps more ({peak['before']:.0f} before)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 1024, 4096])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each system")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn")
    parser.add_argument("--device", default="cpu", help='of ours: "cpu" or "cuda"')
    parser.add_argument("--peers", type=Path, default=ROOT / "data" / "peers", metavar="FOLDER")
    parser.add_argument("--without-peers", action="store_true", help="install and run none")
    arguments = parser.parse_args()
    peers = {} if arguments.without_peers else start_peers(arguments.peers)
    with tempfile.TemporaryDirectory() as cache:
        worker = ours(cache)
        measured = throughput(worker, peers, arguments)
        bars(measured, max(arguments.batches))
        faces(worker, peers, arguments)
        for peer in peers.values():
            peer.close()
        by_zones(worker, arguments)
        what_bounds(worker, measured, arguments)
        worker.close()
        first_calls(measured, cache, arguments)
        memory(cache, arguments)


if __name__ == "__main__":
    main()
