"""The page beside the pages people write in a few lines: `python -m benchmarks.serve --help`.

Ours is app.py as it is, once with the model's float file and once with its int8 one. Beside it (a)
transformers.pipeline in a gr.Interface and, its predict function alone, (b) fastai's learn.predict. All have the same
architecture and pictures and run in processes of their own that take turns, so that whatever else the machine does
meets all; a ratio is the median of the rounds' ratios.
"""

import argparse
import asyncio
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file
from PIL import Image

from benchmarks.evaluate import CLASSES, draw, write_model
from benchmarks.sides import ROOT, fastai_python, memory, run_side
from model_folder.folder import INT8_ONNX, ONNX

_CALIBRATION_DRAWINGS = 16
Round = dict[str, dict[str, Any]]
# What is measured, its unit, of which of our files, beside whom, and what the project asks of the ratio ours / theirs.
ROWS = [
    ("start to first answer, s", "first_answer", "float", "pipeline", "<= 0.50"),
    ("start to first answer, s", "first_answer", "int8", "pipeline", "<= 0.50"),
    ("one picture through gradio_client, p50, ms", "single", "float", "pipeline", "<= 0.85"),
    ("one picture through gradio_client, p50, ms", "single", "int8", "pipeline", "<= 0.85"),
    ("clients at once, answers/s", "throughput", "float", "pipeline", ">= 1.40"),
    ("clients at once, answers/s", "throughput", "int8", "pipeline", ">= 1.80"),
    ("memory after all that, MB", "memory", "float", "pipeline", "<= 0.60"),
    ("memory after all that, MB", "memory", "int8", "pipeline", "<= 0.60"),
    ("predict function alone, p50, ms", "alone", "float", "pipeline", "<= 0.75"),
    ("predict function alone, p50, ms", "alone", "int8", "pipeline", "<= 0.30"),
    ("predict function alone, p50, ms", "alone", "float", "fastai", ""),
]


def main(words: list[str] | None = None) -> None:
    """Prints one table."""
    options = parse(words)
    shutil.rmtree(options.work, ignore_errors=True)
    pictures = write_pictures(options.work / "pictures", options.pictures, options.width)
    model = options.model.resolve() if options.model else write_served_model(options)
    peer = None if options.without_fastai else fastai_python()

    rounds: list[Round] = []
    load = [os.getloadavg()[0]]
    for number in range(options.rounds):
        results: Round = {}
        for name, command in pages(model).items():
            print(f"round {number + 1}/{options.rounds}: {name}", file=sys.stderr)
            results[name] = measure_page(command, model, pictures, options)
        for name, command in functions(model, pictures, peer, options).items():
            print(f"round {number + 1}/{options.rounds}: {name} alone", file=sys.stderr)
            results.setdefault(name, {}).update(run_side(command, options.work / f"{name}-alone.log"))
        rounds.append(results)
        load.append(os.getloadavg()[0])
        (options.work / "rounds.json").write_text(json.dumps(rounds, indent=1))
    print(
        f"{options.architecture if not options.model else model}, {options.size} px, JPEGs of {options.width} px, "
        f"{options.clients} clients, {os.cpu_count()} cores, medians of {options.rounds} rounds; load average "
        f"{min(load):.1f} to {max(load):.1f} between them (the runs make about as much as there are cores).\n"
    )
    print(table(rounds))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; without it one with random weights is written")
    parser.add_argument("--architecture", default="resnet34")
    parser.add_argument("--size", type=int, default=224, help="of what the model sees")
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--width", type=int, default=1024, help="of a picture; three quarters of it are its height")
    parser.add_argument("--singles", type=int, default=60, help="pictures given one after the other")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--each", type=int, default=8, help="pictures that each of them gives")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-fastai", action="store_true")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-serve", help="made anew each time")
    return parser.parse_args(words)


def write_pictures(folder: Path, number: int, width: int) -> list[Path]:
    """Draws JPEGs to ask about."""
    folder.mkdir(parents=True)
    files = [folder / f"{n:03d}.jpg" for n in range(number)]
    for n, file in enumerate(files):
        file.write_bytes(draw(n, width))
    return files


def write_served_model(options: argparse.Namespace) -> Path:
    """Writes a model folder with random weights that also has a model.onnx and a model.int8.onnx."""
    import timm

    from train.export.int8 import ATTEMPTS, quantise
    from train.export.onnx_graph import raw_pixels_graph, write_onnx, write_parts
    from train.loaders import eval_transform

    folder, properties = options.work / "model", {"label_names": CLASSES}
    write_model(folder, options.architecture, options.size)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    data_config = timm.data.resolve_model_data_config(model)
    network = write_onnx(folder / ONNX, model, data_config, properties)
    transform = eval_transform(data_config)
    drawings = [Image.open(io.BytesIO(draw(number, options.width))) for number in range(_CALIBRATION_DRAWINGS)]
    quantised = quantise(network, [transform(drawing).unsqueeze(0).numpy() for drawing in drawings], ATTEMPTS[0])
    write_parts(folder / INT8_ONNX, raw_pixels_graph(data_config), quantised, properties)
    return folder


def our_formats(model: Path) -> list[str]:
    """Returns which of its two files a model folder has, by what MODEL_FORMAT calls them."""
    return ["float", "int8"] if (model / INT8_ONNX).is_file() else ["float"]


def pages(model: Path) -> dict[str, list[str | Path]]:
    """Returns the command of each page, in the order in which they take turns."""
    ours: dict[str, list[str | Path]] = {
        numbers: ["env", f"MODEL_FORMAT={numbers}", sys.executable, "app.py"] for numbers in our_formats(model)
    }
    return {**ours, "pipeline": [sys.executable, "-m", "benchmarks.side_pipeline", "page", model]}


def functions(
    model: Path, pictures: list[Path], peer: Path | None, options: argparse.Namespace
) -> dict[str, list[str | Path]]:
    """Returns the command of each predict function without a page."""
    words: list[str | Path] = [str(options.singles), *pictures]
    commands: dict[str, list[str | Path]] = {
        numbers: ["env", f"MODEL_FORMAT={numbers}", sys.executable, "-m", "benchmarks.side_answer", model, *words]
        for numbers in our_formats(model)
    }
    commands["pipeline"] = [sys.executable, "-m", "benchmarks.side_pipeline", "alone", model, *words]
    if peer:
        commands["fastai"] = [peer, "benchmarks/side_learner.py", str(options.size), *words]
    return commands


def measure_page(
    command: list[str | Path], model: Path, pictures: list[Path], options: argparse.Namespace
) -> dict[str, float]:
    """Starts a page and asks it: once, one picture after the other, from many clients at once."""
    began = time.perf_counter()
    with served(command, model, options.work / "page.log") as (address, pid):
        client = Client(address, verbose=False)
        ask = lambda n: client.predict(handle_file(pictures[n % len(pictures)]), api_name="/predict")  # noqa: E731
        ask(0)
        first_answer = time.perf_counter() - began
        seconds = []
        for n in range(options.singles):
            before = time.perf_counter()
            ask(n)
            seconds.append(time.perf_counter() - before)
        before = time.perf_counter()
        asyncio.run(many_clients(address, pictures, options.clients, options.each))
        throughput = options.clients * options.each / (time.perf_counter() - before)
        return {
            "first_answer": first_answer,
            "single": 1000 * statistics.median(seconds),
            "throughput": throughput,
            "memory": memory(pid) / 2**20,
        }


@contextmanager
def served(command: list[str | Path], model: Path, log: Path) -> Iterator[tuple[str, int]]:
    """Runs a page; gives its address, once it says it, and its process."""
    environment = {**os.environ, "MODEL_ID": str(model), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    with (
        log.open("w") as said,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"{' '.join(map(str, command))} ended:\n{log.read_text()[-3000:]}")
                time.sleep(0.02)
            yield found[0], process.pid
        finally:
            process.terminate()


async def many_clients(address: str, pictures: list[Path], clients: int, each: int) -> None:
    """Lets clients ask at once, each one picture after the other, with as little work on their side as can be."""
    api = f"{address}/gradio_api"

    async def one(number: int) -> None:
        async with httpx.AsyncClient(timeout=300) as http:
            for turn in range(each):
                content = pictures[(number + turn) % len(pictures)].read_bytes()
                [path] = (await http.post(f"{api}/upload", files={"files": ("a.jpg", content)})).json()
                data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
                event = (await http.post(f"{api}/call/predict", json=data)).json()["event_id"]
                answer = (await http.get(f"{api}/call/predict/{event}")).text
                assert "event: complete" in answer, answer

    await asyncio.gather(*(one(number) for number in range(clients)))


def table(rounds: list[Round]) -> str:
    """Returns the table, in Markdown; a ratio is ours divided by theirs."""
    lines = ["| | our file | ours | beside | | ours / theirs | asked |", "|---|---|--:|---|--:|--:|---|"]
    for title, key, numbers, beside, asked in ROWS:
        if any(side not in done for done in rounds for side in (numbers, beside)):
            continue
        pairs = [(done[numbers][key], done[beside][key]) for done in rounds]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        lines.append(f"| {title} | {numbers} | {ours:.1f} | {beside} | {theirs:.1f} | {ratio:.2f} | {asked} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
