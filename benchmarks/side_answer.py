"""What the page asks its model, without the page; the last line is JSON. Started by serve.py."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def p50(answer: Callable[[Path], Any], number: int, pictures: list[str]) -> float:
    """Returns how long an answer takes from a file on, the median in milliseconds."""
    seconds = []
    # Whatever is set up by the first answer is no part of the others.
    answer(Path(pictures[0]))
    for n in range(number):
        began = time.perf_counter()
        answer(Path(pictures[n % len(pictures)]))
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Runs `MODEL NUMBER PICTURES...`."""
    from demo.models.model import load_model
    from demo.reading.upload import read_upload

    model_id, number, *pictures = sys.argv[1:]
    model = load_model(model_id)
    print(json.dumps({"alone": p50(lambda file: model.answer(read_upload(file)), int(number), pictures)}))


if __name__ == "__main__":
    main()
