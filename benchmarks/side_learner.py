"""fastai's learn.predict, in fastai's environment; the last line is JSON. Started by serve.py.

Imports nothing of Nritya: it runs where that is not installed.
"""

import json
import statistics
import sys
import time

from fastai.vision.all import (
    ImageDataLoaders,
    Normalize,
    Resize,
    ResizeMethod,
    imagenet_stats,
    resnet34,
    vision_learner,
)


def main() -> None:
    """Runs `SIZE NUMBER PICTURES...`."""
    size, number, *pictures = sys.argv[1:]
    loaders = ImageDataLoaders.from_lists(
        ".",
        pictures,
        [f"class {n % 8}" for n in range(len(pictures))],
        bs=2,
        item_tfms=Resize(int(size), ResizeMethod.Squish),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
    )
    learner = vision_learner(loaders, resnet34, pretrained=False)
    seconds = []
    with learner.no_bar():
        learner.predict(pictures[0])
        for n in range(int(number)):
            began = time.perf_counter()
            learner.predict(pictures[n % len(pictures)])
            seconds.append(time.perf_counter() - began)
    print(json.dumps({"alone": 1000 * statistics.median(seconds)}))


if __name__ == "__main__":
    main()
