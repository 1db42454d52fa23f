"""One run of `train fit`, measured from within; the last line is JSON. Started by fit.py and quality.py."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = float(os.environ["BENCH_BEGAN"])


def rate(steps: list[float], epochs: int, batch_size: int) -> float:
    """Returns pictures per second between the ends of the first and the last step of the last epoch."""
    last = steps[-(len(steps) // epochs) :]
    return (len(last) - 1) * batch_size / (last[-1] - last[0])


def main() -> None:
    """Runs `train fit RECIPE KEY=VALUE ...` and prints what was measured."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from train.fit import fit
    from train.recipe import Recipe, load_settings
    from train.trainer import Stage, Trainer

    steps: list[float] = []
    register_optimizer_step_post_hook(lambda *_: steps.append(time.time()))
    stages: dict[int, dict[str, Any]] = {}
    run_stage = Trainer.run_stage

    def timed(self: Trainer, stage: Stage) -> None:
        first, began = len(steps), time.time()
        run_stage(self, stage)
        stages[stage.number] = {"seconds": time.time() - began, "steps": steps[first:]}

    Trainer.run_stage = timed
    recipe = load_settings(Recipe, Path(sys.argv[1]), sys.argv[2:])
    # Tables and figures are for people; the last line is for the script that asked.
    with contextlib.redirect_stdout(sys.stderr):
        run = fit(recipe)
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    answer: dict[str, Any] = {"first_step": steps[0] - BEGAN, "stages": {}}
    for number, stage in stages.items():
        done = [record for record in records if record["stage"] == number]
        answer["stages"][number] = {
            "seconds": stage["seconds"],
            "epochs": [record["seconds"] for record in done],
            "images_per_second": rate(stage["steps"], len(done), recipe.batch_size),
        }
    answer["validation_accuracy"] = records[-1]["validation_accuracy"]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
