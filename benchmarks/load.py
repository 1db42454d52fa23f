"""Many visitors at once, for minutes: `python -m benchmarks.load --help`.

Each client uploads a picture, calls /predict, waits for its answer and begins anew. What may come back is an answer or
"busy"; everything else is an error and is told. The server's memory and its folder of uploads are watched meanwhile.

--one-client RUNS has 64 threads share one `gradio_client.Client` instead, for 192 calls a run: nothing but answers may
come back.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from gradio_client import Client, handle_file
from PIL import Image

ROOT = Path(__file__).parents[1]


@dataclass
class Load:
    """What came of it.

    Attributes:
        answers: Seconds from upload to answer, one per answer.
        busy: Times a client was told to come back later.
        errors: Everything else, counted by what it was.
        memory: Resident set of the server in bytes, with the seconds since the start, about one per second.
        files: Files and folders of the upload folder at the end.
    """

    answers: list[float] = field(default_factory=list)
    busy: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def growth(self, warm_up: float) -> float:
        """Growth of the memory after the first `warm_up` seconds, a fraction: the last tenth beside the first one."""
        after = [size for when, size in self.memory if when >= warm_up]
        tenth = max(1, len(after) // 10)
        return statistics.median(after[-tenth:]) / statistics.median(after[:tenth]) - 1


async def run_load(address: str, pid: int, clients: int, seconds: float) -> Load:
    """Asks a page for some seconds.

    Args:
        address: Of the page, such as http://127.0.0.1:7860.
        pid: Process whose memory is watched.
        clients: How many ask at the same time.
        seconds: For how long.
    """
    load = Load()
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits, trust_env=False) as client:
        visitors = (_visitor(client, number, end, load) for number in range(clients))
        await asyncio.gather(_watch(psutil.Process(pid), end, load), *visitors)
    return load


def run_one_client(address: str, pictures: Sequence[Path], threads: int, calls: int) -> Counter[str]:
    """Calls /predict from many threads through one `gradio_client.Client`; counts the answers, and errors by kind."""
    # All that takes long here is a machine that does other things, too.
    client = Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})

    def call(number: int) -> str:
        try:
            client.predict(handle_file(pictures[number % len(pictures)]), api_name="/predict")
        # What there may be is what is asked.
        except BaseException as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
        return "answer"

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(call, range(calls)))


async def _visitor(client: httpx.AsyncClient, number: int, end: float, load: Load) -> None:
    random = np.random.default_rng(number)
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            told = await _ask(client, _picture(random))
        except httpx.HTTPError as error:
            load.errors[f"{type(error).__name__}: {error}"] += 1
            continue
        if told == "busy":
            load.busy += 1
            await asyncio.sleep(0.5)
        elif told == "answer":
            load.answers.append(time.monotonic() - began)
        else:
            load.errors[told] += 1


async def _ask(client: httpx.AsyncClient, picture: bytes) -> str:
    uploaded = await client.post("/gradio_api/upload", files={"files": ("dancer.jpg", picture, "image/jpeg")})
    if uploaded.status_code != 200:
        return _refused(uploaded)
    file = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
    called = await client.post("/gradio_api/call/predict", json={"data": [file]})
    if called.status_code != 200:
        return _refused(called)
    told = await client.get(f"/gradio_api/call/predict/{called.json()['event_id']}")
    event, _, data = told.text.rpartition("event: ")[2].partition("\ndata: ")
    return "answer" if event == "complete" and json.loads(data) else f"{event}: {data.strip()[:200]}"


def _refused(answer: httpx.Response) -> str:
    return "busy" if answer.status_code == 429 else f"status {answer.status_code}: {answer.text[:200]}"


def _picture(random: np.random.Generator) -> bytes:
    """A photograph's worth of bytes that nobody has sent before."""
    blocks = random.integers(0, 255, (12, 9, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(blocks).resize((900, 1200), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
    return target.getvalue()


async def _watch(process: psutil.Process, end: float, load: Load) -> None:
    began = time.monotonic()
    while time.monotonic() < end:
        load.memory.append((time.monotonic() - began, process.memory_info().rss))
        await asyncio.sleep(1)


def main(words: list[str] | None = None) -> None:
    """Serves a model folder, loads it and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder, such as build/demo/run/model")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--warm-up", type=float, default=60, help="seconds before memory is compared")
    parser.add_argument(
        "--one-client", type=int, metavar="RUNS", help="64 threads, one gradio_client, 192 calls a run"
    )
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with _serving(options.model, folder) as (address, process):
            if options.one_client:
                _one_client(address, folder, options.one_client)
                return
            load = asyncio.run(run_load(address, process.pid, options.clients, options.seconds))
        said = len((folder / "log").read_text().splitlines())
        left = [path.name for path in folder.iterdir() if path.name != "log"]
    print(table(load, options.warm_up))
    print(f"\nEnded with {process.returncode}; {said} lines of log; left behind: {', '.join(left) or 'nothing'}.")
    for error, times in load.errors.most_common(10):
        print(f"{times} x {error}")


@contextmanager
def _serving(model: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serves a model folder; log and temporary files go into `folder`."""
    address = "http://127.0.0.1:7899"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={
                **os.environ,
                "MODEL_ID": str(Path(model).resolve()),
                "TMPDIR": str(folder),
                "GRADIO_SERVER_PORT": "7899",
            },
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(address, process)
            yield address, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _one_client(address: str, folder: Path, runs: int) -> None:
    random = np.random.default_rng(8)
    pictures = [folder / f"{number}.jpg" for number in range(64)]
    for picture in pictures:
        picture.write_bytes(_picture(random))
    for run in range(runs):
        began = time.monotonic()
        came = run_one_client(address, pictures, threads=64, calls=192)
        said = ", ".join(f"{times} x {kind}" for kind, times in came.most_common())
        print(f"run {run + 1}: {said}; {time.monotonic() - began:.1f} s", flush=True)


def table(load: Load, warm_up: float) -> str:
    """Returns what came of it as a Markdown table."""
    seconds = load.memory[-1][0]
    waits = statistics.quantiles(load.answers, n=100) if len(load.answers) > 1 else [float("nan")] * 99
    rows = {
        "answers": f"{len(load.answers):,} ({len(load.answers) / seconds:.1f}/s)",
        "seconds to an answer, median (95 %)": f"{waits[49]:.2f} ({waits[94]:.2f})",
        "told that the page is busy": f"{load.busy:,}",
        "errors": f"{sum(load.errors.values()):,}",
        "memory, MB": f"{max(size for _, size in load.memory) / 1e6:,.0f}",
        f"growth after {warm_up:.0f} s": f"{load.growth(warm_up):+.1%}",
    }
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"{address}/health", trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    sys.exit(f"app.py ended with {process.returncode}")


if __name__ == "__main__":
    main()
