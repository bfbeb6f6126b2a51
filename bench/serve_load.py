"""How examples/serve.py bears load, beside the same bundle called in a process.

    goemo-eval export minilm-raw-onnxruntime-int8 --records FILE --out bundle
    python bench/serve_load.py bundle [BUNDLE ...] --out reports

The server runs as a user starts it, on the loopback address. **Closed loop**: so many clients, each of which asks again when
it is answered; says how much the server can do. **Open loop**: texts come at random times at a given rate, whether
or not others were answered, and a text's time begins when it was due; says what who asks will see. The client shares the
CPUs with the server, as nothing else should: run it on an idle machine. Texts are those of the bundled sample's test split,
or of a file with a line each (``--texts``). Writes ``serve.json`` and ``serve.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from goemo_eval import Bundle, load_bundle
from goemo_eval.cpu import available_threads, cpu
from goemo_eval.data.sources import load_dataset
from goemo_eval.errors import GoemoError
from goemo_eval.files import write_atomic
from goemo_eval.measure.environment import load_average, python_version, versions

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PACKAGES = ("onnxruntime", "openvino", "tokenizers", "numpy", "fastapi", "starlette", "uvicorn")
WARM_S = 2.0  # before each loop, not counted
UP_S = 60.0  # in which a server must have begun


def main() -> None:
    """Measure every bundle, and write both files after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--texts", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=60, help="of each loop")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32], help="of closed loops")
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        default=[0.5, 0.8],
        help="of the closed loops' best throughput, as rates of open loops",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the times at which texts come")
    options = parser.parse_args()
    texts = texts_of(options.texts)
    result: dict[str, Any] = {
        "command": shlex.join(["python", *map(relative, sys.argv)]),
        "cpu": cpu()[0],
        "threads": available_threads(),
        "python": python_version(),
        "versions": versions(PACKAGES),
        "seconds": options.seconds,
        "seed": options.seed,
        "texts": {
            "source": options.texts.name if options.texts else "sample, test split",
            "count": len(texts),
            "mean_characters": round(float(np.mean([len(text) for text in texts])), 1),
        },
        "bundles": [],
    }
    for directory in options.bundles:
        result["bundles"].append(measure(directory, texts, options))
        options.out.mkdir(parents=True, exist_ok=True)
        write_atomic(options.out / "serve.json", (json.dumps(result, indent=1) + "\n").encode())
        write_atomic(options.out / "serve.md", page(result).encode())
    sys.stdout.write(f"{options.out / 'serve.md'}\n")


def relative(word: str) -> str:
    """Return a word of the command line as a report states it: nothing of where it lay."""
    return Path(word).name if Path(word).is_absolute() else word


def texts_of(file: Path | None) -> list[str]:
    """Return what is asked."""
    if file is None:
        return list(load_dataset("sample").splits["test"].texts)
    texts = file.read_text(encoding="utf-8").splitlines()
    if not texts:
        raise GoemoError(f"--texts {file}: is empty: pass a file with a text a line")
    return texts


def measure(directory: Path, texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return what a bundle does in this process, and then behind the server."""
    load = load_average()
    bundle = load_bundle(directory)
    found: dict[str, Any] = {
        "cell": bundle.info.cell,
        "in_process": in_process(bundle, texts, seconds=options.seconds / 6),
        "closed": [],
        "open": [],
    }
    del bundle  # its memory, and its threads, are the server's
    requests = [request_of(text) for text in texts]
    with server(directory) as port:
        for clients in options.clients:
            loop = closed_loop(port, requests, clients=clients, seconds=options.seconds)
            found["closed"].append({"clients": clients, **asyncio.run(loop)})
        best = max(each["per_s"] for each in found["closed"])
        for share in options.shares:
            rng, rate = np.random.default_rng(options.seed), best * share
            loop = open_loop(port, requests, rate=rate, seconds=options.seconds, rng=rng)
            found["open"].append({"due_per_s": round(rate, 1), **asyncio.run(loop)})
    return found | {"load": [load, load_average()]}


def in_process(bundle: Bundle, texts: Sequence[str], *, seconds: float) -> dict[str, Any]:
    """Return the times of one text after the other, and the rate of all of them together."""
    bundle.predict(texts)
    bundle.predict(texts[:1])
    times: list[float] = []
    end = time.perf_counter() + seconds
    for text in cycle(texts):
        start = time.perf_counter()
        if start > end:
            break
        bundle.predict([text])
        times.append(time.perf_counter() - start)
    rounds, start = 0, time.perf_counter()
    while rounds < 1 or time.perf_counter() < start + seconds:
        bundle.predict(texts)
        rounds += 1
    together = len(texts) * rounds / (time.perf_counter() - start)
    return {"single": summary(times, elapsed_s=sum(times)), "together_per_s": round(together, 1)}


@contextmanager
def server(directory: Path) -> Iterator[int]:
    """Run the example as a user does; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    words = ["--factory", "serve:create_app", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "BUNDLE": str(directory.resolve())}
    with subprocess.Popen(  # noqa: S603 - this interpreter, with words that are ours
        [sys.executable, "-m", "uvicorn", *words], cwd=EXAMPLES, env=environment
    ) as process:
        try:
            end = time.monotonic() + UP_S
            while process.poll() is None and time.monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise GoemoError(f"{directory}: the server did not begin: see what it said above")
            yield port
        finally:
            process.terminate()


def request_of(text: str) -> bytes:
    """Return a request as its bytes."""
    body = json.dumps({"text": text}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """A connection that stays open. A client library would cost the CPUs as much as what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def ended(self) -> bool:
        """Whether the server has closed it, as it does after some seconds without a request."""
        return self._reader.at_eof()

    async def ask(self, request: bytes) -> int:
        """Send a request, read the whole answer, and return its status."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        await self._reader.readexactly(int(fields["content-length"]))
        return int(status.split()[1])

    def close(self) -> None:
        """Close it."""
        self._writer.close()


async def closed_loop(
    port: int, requests: Sequence[bytes], *, clients: int, seconds: float
) -> dict[str, Any]:
    """Let clients ask again and again."""
    begin = time.perf_counter() + WARM_S
    end = begin + seconds
    times: list[float] = []
    statuses: Counter[int] = Counter()

    async def client(number: int) -> None:
        connection = await Connection.to(port)
        for request in cycle([*requests[number:], *requests[:number]]):
            start = time.perf_counter()
            if start >= end:
                break
            status = await connection.ask(request)
            done = time.perf_counter()
            # What begins in the time is counted, so that a slow answer is not left out.
            if start >= begin:
                statuses[status] += 1
                if status == 200:
                    times.append(done - start)
        connection.close()

    await asyncio.gather(*(client(i * 7 % len(requests)) for i in range(clients)))
    return {**summary(times, elapsed_s=time.perf_counter() - begin), "statuses": named(statuses)}


async def open_loop(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Let texts come at random, and independently of one another, whatever waits."""
    idle: list[Connection] = []
    times: list[float] = []
    statuses: Counter[int] = Counter()

    async def ask(request: bytes, due: float, counted: bool) -> None:
        while idle and idle[-1].ended:
            idle.pop().close()
        connection = idle.pop() if idle else await Connection.to(port)
        status = await connection.ask(request)
        idle.append(connection)
        if counted:
            statuses[status] += 1
            if status == 200:
                times.append(time.perf_counter() - due)

    due = start = time.perf_counter()
    begin = start + WARM_S
    asked: set[asyncio.Task[None]] = set()
    for request in cycle(requests):
        due += rng.exponential(1 / rate)
        if due >= begin + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(ask(request, due, due >= begin))
        asked.add(task)
        task.add_done_callback(lambda done: None if done.exception() else asked.discard(done))
    await asyncio.gather(*asked)  # an answer that never came ends the measurement
    elapsed = time.perf_counter() - begin
    for connection in idle:
        connection.close()
    return {**summary(times, elapsed_s=elapsed), "statuses": named(statuses)}


def summary(times: Sequence[float], *, elapsed_s: float) -> dict[str, Any]:
    """Return throughput and the times that a report states; p99 only of 100 times or more."""
    at = [float(q) for q in np.quantile(times, [0.5, 0.95, 0.99])] if times else [None] * 3
    return {
        "answers": len(times),
        "per_s": round(len(times) / elapsed_s, 1) if times else 0.0,
        "p50_s": at[0],
        "p95_s": at[1],
        "p99_s": at[2] if len(times) >= 100 else None,
    }


def named(statuses: Counter[int]) -> dict[str, int]:
    """Return how often each status came, by its name in JSON."""
    return {str(status): count for status, count in sorted(statuses.items())}


def page(result: dict[str, Any]) -> str:
    """Return the result as markdown."""
    headers = ["", "texts/s", "p50 ms", "p95 ms", "p99 ms", "turned away"]
    lines = [
        "# A bundle behind examples/serve.py",
        "",
        f"    {result['command']}",
        "",
        (
            f"{result['cpu']}, {result['threads']} threads, {result['python']}; "
            + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
            + "."
        ),
        "",
        (
            f"Each loop {result['seconds']:g} s, after {WARM_S:g} s that are not counted; {result['texts']['count']} texts "
            f"({result['texts']['source']}), {result['texts']['mean_characters']:g} characters on average. Client and server "
            "share the CPUs. Open loop: texts come at random, and a text's time begins when it is due."
        ),
    ]
    for found in result["bundles"]:
        single = found["in_process"]["single"]
        rows = [
            ["in this process, a text at a time", *cells(single), ""],
            ["in this process, all at once", f"{found['in_process']['together_per_s']:,.0f}"],
            *(
                [f"closed loop, {e['clients']} clients", *cells(e), away(e)]
                for e in found["closed"]
            ),
            *(
                [f"open loop, {e['due_per_s']:,.0f} a second", *cells(e), away(e)]
                for e in found["open"]
            ),
        ]
        load = " to ".join("?" if x is None else f"{x:g}" for x in found["load"])
        lines += ["", f"## {found['cell']}", "", f"Load average {load}.", ""]
        lines.append(str(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)))
    return "\n".join([*lines, ""])


def cells(found: dict[str, Any]) -> list[str]:
    """Return a row's numbers."""
    times = (found["p50_s"], found["p95_s"], found["p99_s"])
    return [f"{found['per_s']:,.0f}", *("" if t is None else f"{t * 1e3:.2f}" for t in times)]


def away(found: dict[str, Any]) -> str:
    """Return the share of the texts that got no answer."""
    count = sum(found["statuses"].values())
    other = count - found["statuses"].get("200", 0)
    return f"{other / count:.2%}" if other else "0"


if __name__ == "__main__":
    try:
        main()
    except GoemoError as error:
        sys.exit(f"serve_load: {error}")
