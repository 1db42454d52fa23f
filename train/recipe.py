"""Settings from a YAML file and `key=value` words, with every fault reported at once."""

import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from files.errors import UserError
from files.paths import command_line, expand_home


class SettingsError(UserError):
    """A recipe or a `key=value` that can't be used; the message lists all faults."""


class Settings(BaseModel):
    """Flat and frozen; a key that is no field is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _expand_home(cls, values: Any) -> Any:
        """Puts the home folder in place of a `~`: no shell does so for `key=~/path`, nor in a recipe."""
        if not isinstance(values, dict):
            return values
        return {key: expand_home(value) if isinstance(value, str) else value for key, value in values.items()}


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S], file: Path | None, words: Sequence[str]) -> S:
    """Reads settings of one kind.

    Args:
        kind: The class to fill.
        file: A YAML file with one `key: value` per line, or None.
        words: `key=value` words, which win over the file.

    Raises:
        SettingsError: Lists every unknown key, wrong type, bad range and missing key together.
    """
    values: dict[str, Any] = read_yaml(file) if file else {}
    faults = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            values[key] = None if value.lower() in ("null", "none", "") else value
        else:
            faults.append(f"{word}: expected key=value")
    try:
        settings = kind(**values)
    except ValidationError as error:
        faults += [_describe(kind, fault) for fault in error.errors()]
    if faults:
        where = f"{file}: " if file else ""
        raise SettingsError("\n  ".join([f"{where}{len(faults)} fault{'s'[: len(faults) > 1]}", *faults]))
    return settings


def read_yaml(file: Path) -> dict[str, Any]:
    """Reads a flat YAML mapping.

    Raises:
        SettingsError: No such file, not YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read ({error.strerror}): give a recipe such as recipes/sample.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not YAML ({' '.join(str(error).split())})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{file} holds a {type(values).__name__}: expected one `key: value` per line")
    return {str(key): value for key, value in values.items()}


def _describe(kind: type[Settings], fault: Any) -> str:
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, kind.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(kind.model_fields)}"
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing; add {key}=..."
    message = fault["msg"].removeprefix("Value error, ")
    if not key:
        # Settings that don't go together.
        return message
    return f"{key}={fault['input']}: {message[0].lower()}{message[1:]}"


# YAML reads a bare `no` as False.
MixedPrecision = Annotated[
    Literal["auto", "no", "bf16", "fp16"], BeforeValidator(lambda value: "no" if value is False else value)
]


def _rate(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 < rate < math.inf:
        raise ValueError("should be a number above 0, or auto")
    return rate


def _optimizer(name: str) -> str:
    if name == "adamw":
        return name
    # Not before it is needed: it takes a second.
    from train.optim import optimizer_names

    if name in (names := optimizer_names()):
        return name
    similar = difflib.get_close_matches(name, names, n=4) or ["adamw", "sgd"]
    raise ValueError(f"timm has no such optimizer; try {', '.join(similar)}")


def as_list(value: Any) -> Any:
    """Splits what the command line gives as one word; nothing at all is an empty list."""
    if isinstance(value, str):
        return [part for part in value.strip("[]").replace(",", " ").split() if part]
    return () if value is None else value


# Words of the command line are text.
AutoOrBool = Annotated[
    Literal["auto", True, False],
    BeforeValidator(lambda value: {"true": True, "false": False}.get(str(value).lower(), value)),
]
Rate = Annotated[float | Literal["auto"], PlainValidator(_rate)]
Side = Annotated[int, Field(ge=32, le=1024)]


class Recipe(Settings):
    """A run of `train fit`. Learning rates are those of the classifier at the top of each one-cycle.

    Attributes:
        dataset: Dataset folder, folder of photographs by class, or Hub id.
        output_dir: The run's folder.
        image_column: Name of the dataset's image column; by default `image`, or the only one there is.
        label_column: Name of its label column; by default `label`, or the only one of class labels. Text and whole
            numbers will do.
        validation: Share of the training pictures that takes the place of a validation split where the dataset has
            none, 0 to 0.5: drawn by `seed` and by whole groups of near-duplicates.
        architecture: A timm model name.
        pretrained: Start from timm's weights on the Hub.
        weights: Start from this file, whatever `pretrained` says: safetensors in timm's names, or a PyTorch file
            (.pth, .pt) in these, or in others if it has the same tensors in the same order.
        weights_origin: Where `weights` come from, and their licence, in words for the model card.
        init_from: Start from this model folder or Hub id, classifier included, whatever `pretrained` says. Its
            classes are matched by name; it must know all of the dataset's.
        drop_rate: Dropout before the classifier, 0 to 1.
        drop_path_rate: Stochastic depth (Huang et al. 2016): blocks are left out of training steps at random, the last
            with this probability and earlier ones less often.
        image_size: Side of the square that the model sees, in pixels.
        crop_mode: How a picture becomes a square: "center" cuts, "squash" distorts, "border" pads.
        image_sizes: Progressive resizing: sides that stage 2 trains at, one after the other, each for an equal
            share of its epochs. Validation and the model keep `image_size`. Empty: that one throughout.
        min_scale: Smallest share of a training picture's area that a random crop keeps; 1 crops only as
            `crop_mode` does.
        max_rotate: Training pictures are turned by up to this many degrees.
        max_zoom: They are zoomed by up to this factor.
        max_warp: They are tilted: an edge grows or shrinks by up to this share.
        p_affine: Probability of each of turn, zoom and tilt.
        max_lighting: Brightness and contrast change by up to this share.
        p_lighting: Probability of each of the two.
        random_erasing: Probability that a rectangle of a training picture is erased.
        mixup: Mixes pairs of pictures and their labels; alpha of the Beta distribution, 0 for never. With
            `cutmix`, too, each batch gets one of the two. Neither acts on cached features (`feature_views`).
        cutmix: Puts a rectangle of one picture into another, and mixes labels by area; alpha as for `mixup`.
        class_balance: For classes of unequal size. "weights" weighs each picture's loss by the rareness of its
            class; "sampling" shows every class equally often, which `streaming` can't.
        batch_size: Pictures per batch, over all processes.
        gradient_accumulation_steps: Batches per step of the optimizer.
        freeze_epochs: Epochs of stage 1, in which the classifier alone learns.
        freeze_max_lr: Highest learning rate of stage 1; "auto" takes the learning-rate finder's suggestion.
        feature_views: Views of each training picture (plain, mirrored, then augmented ones) whose features are
            computed once; stage 1's epochs are then passes over these, all views of `batch_size` pictures per step,
            and cost next to nothing. 0: every epoch looks at newly augmented pictures. Of many passes five are
            printed. Not with `streaming`.
        feature_l2: Strength of the L2 penalty on the classifier's weights while it learns from cached features, each
            divided by its spread: half of it, times the squared norm, is added to the loss of all views together
            (the inverse of scikit-learn's C). `weight_decay` does not act then. "auto" chooses it by grouped folds of
            the training pictures.
        epochs: Epochs of stage 2, in which everything learns; 0 leaves it out.
        min_steps: Steps of the optimizer that stage 2 has at least: of few pictures it gets more epochs than `epochs`.
        freeze_batchnorm: BatchNorm keeps the statistics of the first weights in stage 2, too; of few pictures it would
            learn worse ones.
        optimizer: A timm name: "adamw", "sgd", "lamb", "adafactor", "muon" ... Passes over cached features keep Adam.
        max_lr: Highest learning rate of stage 2, for the classifier; or "auto".
        lr_mult: Discriminative learning rates: each layer group below the classifier learns at this
            fraction of the rate of the group above it.
        pct_start: Share of a one-cycle in which the rate rises.
        div_factor: The rate starts at its highest value divided by this.
        final_div_factor: The rate ends at its first value divided by this.
        weight_decay: Decoupled weight decay (AdamW) of weights; biases and norms have none.
        label_smoothing: 0 to 1.
        max_grad_norm: The gradient's norm is clipped to this.
        ema_decay: Keep an exponential moving average of the weights, with this decay (0.9998, say; lower in the
            first steps), and validate and keep it instead of the weights themselves.
        wise_ft: Validate and keep, in stage 2, weights between those that it began with and those that it has learned,
            at this share of the way (0.5: half of it).
        patience: A stage ends early when validation has not improved for this many epochs, and the best of all its
            epochs may be kept; without, the last one may. Passes over cached features go on to the last.
        target_accuracy: How often the model should be right where it does not abstain, 0 to 1, with 90 % confidence
            (for 95 % at least 45 validation pictures, the surest without a mistake); its threshold,
            `reject_threshold` in config.json, is chosen on validation.
        seed: One seed, one result: to the bit on one machine's processors; GPUs add up in an order that varies, so
            that there the last digits may differ.
        mixed_precision: "no", "bf16" or (on GPUs) "fp16". "auto" times some steps in float32 and, where the device
            computes in it by itself, in bf16, and takes the faster; what was chosen is in the run's `system.json`.
            Another run may choose otherwise: where runs are compared to the bit, say which.
        channels_last: Keep colours innermost in memory. "auto" times both layouts as `mixed_precision` does.
        gradient_checkpointing: Compute activations again on the way back instead of keeping them, where everything
            learns: large models fit into small memories, and steps take about a third longer. BatchNorm must keep
            its statistics (`freeze_batchnorm`).
        compile: Compile the model with torch.compile: minutes at first, then faster steps on GPUs. Passes over
            cached features are not compiled.
        num_workers: Processes that decode and augment pictures; 0 does so in the main process.
        cache_images: Decode pictures once, and keep them, shrunk to what augmentation needs, where they take at most a
            quarter of the free memory. The result is the same to the bit.
        checkpoint_minutes: A checkpoint within an epoch, after a whole step, whenever this much time has passed
            since the last one.
        streaming: Read training pictures from the dataset's parquet shards as they are needed, without storing
            them; shuffled by shards and a buffer of `shuffle_buffer` pictures. Resumes at the last whole epoch.
        shuffle_buffer: Pictures to draw the next one from, with `streaming`; they are held in memory, as files.
        tracker: Also log to one of accelerate's trackers ("tensorboard", "trackio", "wandb", ...), below
            `output_dir/logs` where it writes files.
        resume_from_checkpoint: Continue the run in `output_dir`.
    """

    dataset: str
    output_dir: Path
    image_column: str | None = None
    label_column: str | None = None
    validation: float = Field(0.15, ge=0, le=0.5)
    architecture: str = "resnet34"
    pretrained: bool = True
    weights: Path | None = None
    weights_origin: str | None = None
    init_from: str | None = None
    drop_rate: float = Field(0.0, ge=0, lt=1)
    drop_path_rate: float = Field(0.0, ge=0, lt=1)
    image_size: Side = 224
    image_sizes: Annotated[tuple[Side, ...], BeforeValidator(as_list)] = ()
    crop_mode: Literal["center", "squash", "border"] = "center"
    min_scale: float = Field(1.0, gt=0, le=1)
    max_rotate: float = Field(10.0, ge=0, le=45)
    max_zoom: float = Field(1.1, ge=1, le=4)
    max_warp: float = Field(0.2, ge=0, lt=1)
    p_affine: float = Field(0.75, ge=0, le=1)
    max_lighting: float = Field(0.2, ge=0, lt=1)
    p_lighting: float = Field(0.75, ge=0, le=1)
    random_erasing: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    class_balance: Literal["weights", "sampling"] | None = None
    batch_size: int = Field(32, ge=2)
    gradient_accumulation_steps: int = Field(1, ge=1)
    freeze_epochs: int = Field(4, ge=0)
    freeze_max_lr: Rate = 1e-2
    feature_views: int = Field(0, ge=0, le=64)
    feature_l2: Rate = "auto"
    epochs: int = Field(8, ge=0)
    min_steps: int = Field(0, ge=0)
    freeze_batchnorm: bool = False
    optimizer: Annotated[str, AfterValidator(_optimizer)] = "adamw"
    max_lr: Rate = 1e-3
    lr_mult: float = Field(0.5, gt=0, le=1)
    pct_start: float = Field(0.25, gt=0, lt=1)
    div_factor: float = Field(25.0, ge=1)
    final_div_factor: float = Field(1e4, ge=1)
    weight_decay: float = Field(1e-2, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    max_grad_norm: float | None = Field(None, gt=0)
    ema_decay: float | None = Field(None, gt=0, lt=1)
    wise_ft: float | None = Field(None, gt=0, lt=1)
    patience: int | None = Field(None, ge=1)
    target_accuracy: float = Field(0.95, gt=0, lt=1)
    seed: int = Field(8, ge=0, lt=2**32)
    mixed_precision: MixedPrecision = "no"
    channels_last: AutoOrBool = False
    gradient_checkpointing: bool = False
    compile: bool = False
    num_workers: int = Field(2, ge=0)
    cache_images: bool = True
    checkpoint_minutes: float = Field(10.0, gt=0)
    streaming: bool = False
    shuffle_buffer: int = Field(1000, ge=1)
    tracker: str | None = None
    resume_from_checkpoint: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        faults = []
        if self.freeze_epochs + self.epochs == 0:
            faults.append("freeze_epochs and epochs are both 0: nothing to train")
        if self.init_from is not None and self.weights is not None:
            faults.append("init_from and weights both say where to start from: give one of them")
        if self.wise_ft and self.epochs and not self.freeze_epochs and self.init_from is None:
            faults.append("wise_ft goes half-way from a model that knows the classes: set freeze_epochs, or init_from")
        if self.streaming and self.feature_views and self.freeze_epochs:
            faults.append("streaming and feature_views don't go together: set feature_views=0, or freeze_epochs=0")
        if self.streaming and self.class_balance == "sampling":
            faults.append("a stream can't be sampled by class: set class_balance=weights, or leave streaming away")
        if faults:
            raise ValueError("\n  ".join(faults))
        return self

    @property
    def start(self) -> Literal["a previous model", "weights file", "hub weights", "random weights"]:
        """Where the first weights come from."""
        if self.init_from is not None:
            return "a previous model"
        if self.weights is not None:
            return "weights file"
        return "hub weights" if self.pretrained else "random weights"

    @property
    def two_stages(self) -> bool:
        """Whether there is a stage 1, and a stage 2 after it."""
        return bool(self.freeze_epochs and self.epochs)

    def memory(self) -> dict[str, int]:
        """Returns what to lower when memory is short, what helps most first."""
        return {"batch_size": self.batch_size, "image_size": self.image_size, "num_workers": self.num_workers}

    def values(self) -> dict[str, Any]:
        """Returns what decides the run, as plain values; whether it is resumed does not."""
        return self.model_dump(mode="json", exclude={"resume_from_checkpoint"})


def default_values() -> dict[str, Any]:
    """Returns the settings of a recipe that have a default, as plain values."""
    required = {"dataset": "", "output_dir": "."}
    return Recipe(**required).model_dump(mode="json", exclude={*required, "resume_from_checkpoint"})


def trained_starts(values: dict[str, Any]) -> list[str]:
    """Returns which of a recipe's settings start it from a model that was trained on a dataset: init_from, weights.

    Weights are those of such a model where they lie in a run or in a model folder that names its training data.

    Args:
        values: `init_from` and `weights`, where they are set.
    """
    starts = ["init_from"] if values.get("init_from") else []
    if values.get("weights"):
        file = Path(values["weights"]).resolve()
        config = file.parent / "config.json"
        in_model = config.is_file() and '"training_data"' in config.read_text(encoding="utf-8", errors="replace")
        in_run = any(
            (above / "recipe.yaml").is_file() and (above / "data.json").is_file() for above in file.parents[:2]
        )
        starts += ["weights"] if in_model or in_run else []
    return starts


def cross_validate_command(recipe: Path | None, output_dir: Path, dataset: str | None = None) -> str:
    """Returns the command that cross-validates by a recipe, which starts from no trained model then."""
    words = ["python", "-m", "train", "cross-validate", recipe or "RECIPE", f"output_dir={output_dir}"]
    words += [f"dataset={dataset}"] if dataset else []
    words += [f"{key}=none" for key in trained_starts(read_yaml(recipe))] if recipe else []
    return command_line(*words)
