"""Wrong labels on purpose: some pictures of train and validation are put into the folder of another dance."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import datasets

from benchmarks.sides import ROOT


def run(*words: object) -> None:
    """Runs one of our commands; what it prints is seen.

    Raises:
        SystemExit: It failed.
    """
    command = [str(word) for word in words]
    print(f"\n$ python -m {' '.join(command)}", file=sys.stderr, flush=True)
    if code := subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode:
        raise SystemExit(code)


def noisy_sample(folder: Path, per_class: int, seed: int, share: float) -> dict[str, str]:
    """Draws the sample into `folder/photos`, plants wrong labels, and builds `folder/dances` of it.

    The split is drawn before: test has the pictures that it would have without wrong labels, with their own labels.

    Args:
        folder: Where all goes; must exist.
        per_class: Drawings of each dance.
        seed: Of drawings, split and noise.
        share: Of the pictures of train and validation that get a wrong label, 0 to 1.

    Returns:
        By the SHA-256 of each picture with a wrong label, the right one.
    """
    photos, dances = folder / "photos", folder / "dances"
    run("dataset_card", "sample", photos, "--per-class", per_class, "--seed", seed)
    run("dataset_card", "build", photos, "--out", dances, "--seed", seed)
    truth = plant(photos, dances, share, seed)
    run("dataset_card", "build", photos, "--out", dances, "--seed", seed)
    return truth


def plant(photos: Path, dances: Path, share: float, seed: int) -> dict[str, str]:
    """Moves files of train and validation into folders of other dances, any other equally likely.

    Pictures with near-duplicates stay: `build` would find them under two labels.

    Returns:
        By the SHA-256 of each moved file, the folder that it was in.
    """
    rows = [row for split in ("train", "validation") for row in _small(dances, split)]
    groups = [row["group"] for row in rows]
    alone = sorted(row["sha256"] for row in rows if groups.count(row["group"]) == 1)
    chance = random.Random(seed)
    chosen = set(chance.sample(alone, round(share * len(rows))))
    records = [json.loads(line) for line in (photos / "provenance.jsonl").read_text().splitlines()]
    names = sorted(path.name for path in photos.iterdir() if path.is_dir())
    truth = {}
    for record in records:
        file = photos / record["file"]
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        if sha256 in chosen:
            truth[sha256] = file.parent.name
            wrong = chance.choice([name for name in names if name != file.parent.name])
            record["file"] = f"{wrong}/{file.name}"
            file.rename(photos / record["file"])
    (photos / "provenance.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return truth


def _small(dances: Path, split: str) -> datasets.Dataset:
    return datasets.load_dataset(str(dances), split=split).select_columns(["sha256", "group", "label"])
