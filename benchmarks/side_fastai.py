"""One run of fastai as its documentation has it, in fastai's environment; the last line is JSON.

Imports nothing of Nritya: it runs where that is not installed.
"""

import argparse
import json
import os
import time
from pathlib import Path

import timm
import torch
from fastai.vision.all import (
    Callback,
    CategoryBlock,
    DataBlock,
    GrandparentSplitter,
    ImageBlock,
    Normalize,
    Resize,
    ResizeMethod,
    accuracy,
    aug_transforms,
    get_image_files,
    parent_label,
    resnet34,
    set_seed,
    vision_learner,
)
from safetensors.torch import load_file

BEGAN = float(os.environ["BENCH_BEGAN"])
# Where torchvision's ResNet lies in fastai's body, a Sequential without the classifier.
BODY = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


class Clock(Callback):
    """Notes when each epoch and step of each call of `fit` ended."""

    def __init__(self) -> None:
        self.stages: list[dict] = []

    def before_fit(self) -> None:
        """Opens a stage."""
        self.stages.append({"began": time.time(), "epochs": [], "steps": []})

    def before_epoch(self) -> None:
        """Starts the epoch's clock, and forgets the steps of the one before."""
        self.epoch_began = time.time()
        self.stages[-1]["steps"] = []

    def after_step(self) -> None:
        """Notes a step of the optimizer."""
        self.first_step = getattr(self, "first_step", time.time())
        self.stages[-1]["steps"].append(time.time())

    def after_epoch(self) -> None:
        """Stops the epoch's clock."""
        self.stages[-1]["epochs"].append(time.time() - self.epoch_began)

    def after_fit(self) -> None:
        """Closes the stage."""
        self.stages[-1]["seconds"] = time.time() - self.stages[-1]["began"]


def main() -> None:
    """Trains by `fine_tune`, fastai's own recipe, and prints what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path, help="holds train/LABEL/ and validation/LABEL/")
    parser.add_argument("--architecture", default="resnet34", help="resnet34, or a timm name")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--freeze-epochs", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--crop", action="store_true", help="a random crop of whole pictures, the centre to judge")
    parser.add_argument("--find-rate", action="store_true", help="the rate that fastai's finder suggests (valley)")
    parser.add_argument("--predict", type=Path, help="a folder LABEL/ of pictures: their classes are printed, too")
    options = parser.parse_args()

    set_seed(options.seed)
    # What the weights were trained with; nothing is fetched.
    prepared = timm.get_pretrained_cfg(options.architecture)
    method = ResizeMethod.Crop if options.crop else ResizeMethod.Squish
    crops = {"size": options.size, "min_scale": 0.75} if options.crop else {}
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=GrandparentSplitter("train", "validation"),
        get_y=parent_label,
        # The whole picture, as our recipe has it; or as fastai's documentation presizes.
        item_tfms=Resize(2 * options.size if options.crop else options.size, method),
        batch_tfms=[*aug_transforms(**crops), Normalize.from_stats(prepared.mean, prepared.std)],
    )
    loaders = block.dataloaders(options.images, bs=options.batch_size, num_workers=options.workers)
    clock = Clock()
    # fastai's own ResNet34 is torchvision's, cut into a Sequential.
    own = options.architecture == "resnet34"
    learner = vision_learner(
        loaders, resnet34 if own else options.architecture, pretrained=False, metrics=accuracy, cbs=clock
    )
    if options.weights:
        load_backbone(learner.model[0], options.weights, own)
    rate = 2e-3
    with learner.no_bar(), learner.no_logging():
        if options.find_rate:
            learner.freeze()
            rate = float(learner.lr_find(show_plot=False).valley)
            # The finder's steps are no part of what is measured.
            clock.stages.clear()
        if options.epochs:
            learner.fine_tune(options.epochs, rate, freeze_epochs=options.freeze_epochs)
        else:
            # What `fine_tune` begins with.
            learner.freeze()
            learner.fit_one_cycle(options.freeze_epochs, slice(rate), pct_start=0.99)
    values = [row[-1] for row in learner.recorder.values]
    answer = {
        "first_step": clock.first_step - BEGAN,
        "stages": {
            str(number): {
                "seconds": stage["seconds"],
                "epochs": stage["epochs"],
                "images_per_second": (len(stage["steps"]) - 1)
                * options.batch_size
                / (stage["steps"][-1] - stage["steps"][0]),
            }
            for number, stage in enumerate(clock.stages, 1)
        },
        "validation_accuracy": values[-1],
        "rate": rate,
    }
    if options.predict:
        files = sorted(get_image_files(options.predict))
        with learner.no_bar():
            probs, _ = learner.get_preds(dl=loaders.test_dl(files))
        answer["answers"] = {
            f"{file.parent.name}/{file.name}": loaders.vocab[number]
            for file, number in zip(files, probs.argmax(1).tolist(), strict=True)
        }
    print(json.dumps(answer))


def load_backbone(body: torch.nn.Module, weights: Path, own: bool) -> None:
    """Fills fastai's body with weights in timm's names; its own ResNet34 has numbers for them."""
    state = {n: t.float() if t.is_floating_point() else t for n, t in load_file(weights).items()}
    if own:
        split = {name: name.partition(".") for name in state}
        state = {f"{BODY[part]}.{rest}": state[n] for n, (part, _, rest) in split.items() if part in BODY}
        body.load_state_dict(state)
    else:
        classifier = timm.models.get_pretrained_cfg_value(body.model.default_cfg["architecture"], "classifier")
        body.model.load_state_dict({n: t for n, t in state.items() if not n.startswith(f"{classifier}.")})


if __name__ == "__main__":
    main()
