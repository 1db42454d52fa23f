"""The recipe: everything that decides a run, in one flat frozen object."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from train.settings import Settings

# YAML reads a bare `no` as False.
MixedPrecision = Annotated[
    Literal["no", "bf16", "fp16"], BeforeValidator(lambda value: "no" if value is False else value)
]


class Recipe(Settings):
    """A run of `train fit`. Learning rates are those of the classifier at the top of each one-cycle.

    Attributes:
        dataset: Dataset folder or Hub id.
        output_dir: The run's folder.
        architecture: A timm model name.
        pretrained: Start from timm's weights on the Hub.
        weights: Start from this safetensors file, in timm's names, whatever `pretrained` says.
        drop_rate: Dropout before the classifier, 0 to 1.
        image_size: Side of the square that the model sees, in pixels.
        crop_mode: How a picture becomes a square: "center" cuts, "squash" distorts, "border" pads.
        min_scale: Smallest share of a training picture's area that a random crop keeps.
        batch_size: Pictures per step, over all processes.
        freeze_epochs: Epochs of stage 1, in which the classifier alone learns.
        freeze_max_lr: Highest learning rate of stage 1.
        feature_views: Views of each training picture (plain, mirrored, then augmented ones) whose features are
            computed once; stage 1's epochs are then passes over these, and cost next to nothing. 0: every epoch
            looks at newly augmented pictures. Of many passes ten are printed and kept. Not with `streaming`.
        epochs: Epochs of stage 2, in which everything learns.
        max_lr: Highest learning rate of stage 2, for the classifier.
        lr_mult: Discriminative learning rates: each layer group below the classifier learns at this
            fraction of the rate of the group above it.
        pct_start: Share of a one-cycle in which the rate rises.
        div_factor: The rate starts at its highest value divided by this.
        final_div_factor: The rate ends at its first value divided by this.
        weight_decay: Decoupled weight decay (AdamW) of weights; biases and norms have none.
        label_smoothing: 0 to 1.
        seed: One seed, one result, to the bit, on one machine.
        mixed_precision: "no", "bf16" or (on GPUs) "fp16".
        num_workers: Processes that decode pictures; 0 decodes in the main process.
        checkpoint_minutes: A checkpoint within an epoch whenever this much time has passed since the last one.
        streaming: Read training pictures from the dataset's parquet shards as they are needed, without storing
            them; shuffled by shards and a buffer of `shuffle_buffer` pictures. Resumes at the last whole epoch.
        shuffle_buffer: Pictures to draw the next one from, with `streaming`; they are held in memory, as files.
        resume_from_checkpoint: Continue the run in `output_dir`.
    """

    dataset: str
    output_dir: Path
    architecture: str = "resnet34"
    pretrained: bool = True
    weights: Path | None = None
    drop_rate: float = Field(0.0, ge=0, lt=1)
    image_size: int = Field(224, ge=32, le=1024)
    crop_mode: Literal["center", "squash", "border"] = "center"
    min_scale: float = Field(0.4, gt=0, le=1)
    batch_size: int = Field(32, ge=2)
    freeze_epochs: int = Field(4, ge=0)
    freeze_max_lr: float = Field(1e-2, gt=0)
    feature_views: int = Field(0, ge=0, le=64)
    epochs: int = Field(8, ge=0)
    max_lr: float = Field(1e-3, gt=0)
    lr_mult: float = Field(0.5, gt=0, le=1)
    pct_start: float = Field(0.25, gt=0, lt=1)
    div_factor: float = Field(25.0, ge=1)
    final_div_factor: float = Field(1e4, ge=1)
    weight_decay: float = Field(1e-2, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(8, ge=0, lt=2**32)
    mixed_precision: MixedPrecision = "no"
    num_workers: int = Field(2, ge=0)
    checkpoint_minutes: float = Field(10.0, gt=0)
    streaming: bool = False
    shuffle_buffer: int = Field(1000, ge=1)
    resume_from_checkpoint: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.freeze_epochs + self.epochs == 0:
            raise ValueError("freeze_epochs and epochs are both 0: nothing to train")
        if self.streaming and self.feature_views and self.freeze_epochs:
            raise ValueError("streaming and feature_views don't go together: set feature_views=0, or freeze_epochs=0")
        return self

    @property
    def start(self) -> Literal["weights file", "hub weights", "random weights"]:
        """Where the first weights come from."""
        if self.weights is not None:
            return "weights file"
        return "hub weights" if self.pretrained else "random weights"

    def values(self) -> dict[str, str | int | float | None]:
        """Returns what decides the run, as plain values; whether it is resumed does not."""
        return self.model_dump(mode="json", exclude={"resume_from_checkpoint"})
