"""The speed of `train fit` beside fastai's on the same photographs: `python -m benchmarks.fit --help`.

Both sides have the same split, picture size, batch size, number of loader processes and threads, and take turns, so
that whatever else the machine does meets both. A ratio is the median of the rounds' ratios.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import torch

from benchmarks.sides import ROOT, export_images, fastai_python, run_side
from train.hardware import Hardware, choose_hardware
from train.model import build_model

Round = dict[str, dict[str, Any]]


def main(words: list[str] | None = None) -> None:
    """Prints one table."""
    options = parse(words)
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    splits = datasets.load_dataset(str(options.dataset.resolve()))
    shutil.rmtree(work / "images", ignore_errors=True)
    for split in ("train", "validation"):
        export_images(splits[split], work / "images" / split)
    peer = None if options.ours_only else fastai_python()

    hardware = measure(options)
    print(f"step, s: {hardware.step_seconds}", file=sys.stderr)
    rounds: list[Round] = []
    load = [os.getloadavg()[0]]
    for number in range(options.rounds):
        shutil.rmtree(work / "runs", ignore_errors=True)
        results: Round = {}
        for name, command in sides(options, hardware, peer, work).items():
            print(f"round {number + 1}/{options.rounds}: {name}", file=sys.stderr)
            results[name] = run_side(command, work / f"{name}.log")
        rounds.append(results)
        load.append(os.getloadavg()[0])
        (work / "rounds.json").write_text(json.dumps(rounds, indent=1))
    print(caption(options, splits, load))
    print(table(rounds, options))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="a dataset folder of python -m dataset_card build")
    parser.add_argument("--weights", type=Path, help="in timm's names; without it both start from nothing")
    parser.add_argument("--architecture", default="resnet34", help="a timm name")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--freeze-epochs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--views", type=int, default=4, help="whose features are cached, in the row that says so")
    parser.add_argument("--passes", type=int, default=40, help="over these")
    parser.add_argument("--precision", choices=("auto", "bf16", "no"), default="auto", help="ours")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of our recipe")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-fit", help="where things are put")
    parser.add_argument("--ours-only", action="store_true", help="without fastai")
    return parser.parse_args(words)


def measure(options: argparse.Namespace) -> Hardware:
    """Returns the fastest precision and layout here, in which our sides and the bare loop then run."""
    model = build_model(options.architecture, 8, options.size, False, None, 0.0)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    return choose_hardware(model, options.precision, "auto", options.batch_size, options.size, device)


def sides(
    options: argparse.Namespace, hardware: Hardware, peer: Path | None, work: Path
) -> dict[str, list[str | Path]]:
    """Returns the command of each side, in the order in which they take turns."""
    python = Path(sys.executable)
    sizes = ["--size", str(options.size), "--batch-size", str(options.batch_size)]
    start = [f"weights={options.weights.resolve()}"] if options.weights else ["pretrained=false"]
    ours = [
        python, "-m", "benchmarks.side_ours", "recipes/resnet34.yaml", f"dataset={options.dataset.resolve()}", *start,
        f"architecture={options.architecture}", f"image_size={options.size}",
        f"batch_size={options.batch_size}", f"num_workers={options.workers}",
        f"mixed_precision={hardware.mixed_precision}", f"channels_last={hardware.channels_last}", *options.set,
    ]  # fmt: skip
    commands: dict[str, list[str | Path]] = {}
    if peer:
        weights = ["--weights", options.weights.resolve()] if options.weights else []
        commands["fastai"] = [
            peer, "benchmarks/side_fastai.py", work / "images", "--architecture", options.architecture, *sizes,
            *weights, "--workers", str(options.workers), "--freeze-epochs", str(options.freeze_epochs),
            "--epochs", str(options.epochs),
        ]  # fmt: skip
    commands["ours"] = [
        *ours, f"output_dir={work / 'runs' / 'ours'}", "feature_views=0", f"freeze_epochs={options.freeze_epochs}",
        # As the bare loop and fastai have it.
        f"epochs={options.epochs}", "min_steps=0", "freeze_max_lr=1e-2", "freeze_batchnorm=false", "mixup=0",
        "ema_decay=null",
    ]  # fmt: skip
    bare = [python, "-m", "benchmarks.bare", "--architecture", options.architecture, *sizes, "--steps", "13"]
    commands["bare, same settings"] = [
        *bare, *(["--channels-last"] if hardware.channels_last else []),
        *(["--bf16"] if hardware.mixed_precision == "bf16" else []),
    ]  # fmt: skip
    commands["bare, torch's defaults"] = bare
    commands["cached"] = [
        *ours, f"output_dir={work / 'runs' / 'cached'}", f"feature_views={options.views}",
        f"freeze_epochs={options.passes}", "epochs=0",
    ]  # fmt: skip
    return commands


def caption(options: argparse.Namespace, splits: Any, load: list[float]) -> str:
    """Returns what the numbers rest on."""
    return (
        f"{options.architecture}, {options.size} px, batch {options.batch_size}, {options.workers} loader processes, "
        f"{len(splits['train'])} + {len(splits['validation'])} pictures, {os.cpu_count()} cores, "
        f"medians of {options.rounds} rounds; load average {min(load):.1f} to {max(load):.1f} between them "
        "(the runs themselves make about as much as there are cores).\n"
    )


def table(rounds: list[Round], options: argparse.Namespace) -> str:
    """Returns the table, in Markdown; a ratio above 1 is in our favour.

    The rows that need fastai are left out where it did not run.
    """
    rows: list[tuple[str, str, Callable[[Round], float], Callable[[Round], float], bool]] = [
        (
            f"stage 1, {options.freeze_epochs} epochs, s", "fastai",
            lambda r: r["ours"]["stages"]["1"]["seconds"], lambda r: r["fastai"]["stages"]["1"]["seconds"], False,
        ),
        (
            f"stage 1, {options.passes} passes over {options.views} cached views, s", "fastai",
            lambda r: r["cached"]["stages"]["1"]["seconds"], lambda r: r["fastai"]["stages"]["1"]["seconds"], False,
        ),
        (
            "unfrozen epoch, s", "fastai",
            lambda r: statistics.median(r["ours"]["stages"]["2"]["epochs"]),
            lambda r: statistics.median(r["fastai"]["stages"]["2"]["epochs"]), False,
        ),
        *(
            (
                "unfrozen, pictures/s", bare,
                lambda r: r["ours"]["stages"]["2"]["images_per_second"],
                lambda r, bare=bare: r[bare]["images_per_second"], True,
            )
            for bare in ("bare, same settings", "bare, torch's defaults")
        ),
        (
            "start to first step, s", "fastai",
            lambda r: r["ours"]["first_step"], lambda r: r["fastai"]["first_step"], False,
        ),
        ("peak memory, MB", "fastai", lambda r: r["ours"]["peak_mb"], lambda r: r["fastai"]["peak_mb"], False),
        (
            "validation accuracy after all, %", "fastai",
            lambda r: 100 * r["ours"]["validation_accuracy"], lambda r: 100 * r["fastai"]["validation_accuracy"], True,
        ),
        (
            "validation accuracy of the cached stage alone, %", "ours",
            lambda r: 100 * r["cached"]["validation_accuracy"], lambda r: 100 * r["ours"]["validation_accuracy"], True,
        ),
    ]  # fmt: skip
    lines = ["| | ours | beside | | ratio |", "|---|--:|---|--:|--:|"]
    for title, beside, ours, other, more_is_better in rows:
        if any(beside not in done for done in rounds):
            continue
        pairs = [(ours(done), other(done)) for done in rounds]
        ratio = statistics.median(a / b if more_is_better else b / a for a, b in pairs)
        mine, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        lines.append(f"| {title} | {mine:.1f} | {beside} | {theirs:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
