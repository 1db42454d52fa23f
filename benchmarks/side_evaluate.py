"""One side of benchmarks/evaluate.py, measured from within; the last line is JSON."""

import contextlib
import importlib
import json
import sys
import time
from typing import Any


def evaluate(model_id: str, words: list[str]) -> dict[str, float]:
    """Runs `train evaluate MODEL KEY=VALUE ...`; the rate is that of everything from the first picture's file on."""
    # `train.evaluate` is the function.
    story: Any = importlib.import_module("train.evaluate")
    from train.recipe import load_settings

    seconds = 0.0
    predict = story.predict_split

    def timed(*arguments: Any) -> Any:
        nonlocal seconds
        began = time.perf_counter()
        answer = predict(*arguments)
        seconds += time.perf_counter() - began
        return answer

    story.predict_split = timed
    began = time.perf_counter()
    metrics = story.evaluate(model_id, load_settings(story.Evaluation, None, words))
    return {"images_per_second": metrics["pictures"] / seconds, "seconds": time.perf_counter() - began}


def bare(model_id: str, batch_size: int, steps: int) -> dict[str, float]:
    """Runs the model over random tensors and nothing else."""
    import timm
    import torch

    from train.predict import load_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, _ = load_model(model_id)
    model.to(device, memory_format=torch.channels_last)
    size = timm.data.resolve_model_data_config(model)["input_size"]
    images = torch.randn(batch_size, *size, device=device).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        # The answer is fetched, as an evaluation must; the first pass sets things up.
        model(images).cpu()
        began = time.perf_counter()
        for _ in range(steps):
            model(images).cpu()
    return {"images_per_second": steps * batch_size / (time.perf_counter() - began)}


def main() -> None:
    """Runs `evaluate MODEL KEY=VALUE ...` or `bare MODEL BATCH_SIZE STEPS`."""
    side, model_id, *words = sys.argv[1:]
    # What is printed is for people; the last line is for the script that asked.
    with contextlib.redirect_stdout(sys.stderr):
        answer = evaluate(model_id, words) if side == "evaluate" else bare(model_id, *map(int, words))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
