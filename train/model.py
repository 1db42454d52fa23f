"""A timm model: built and filled with weights, frozen and unfrozen, and tried before a run begins with it.

Its classifier is whatever timm gives the architecture: one linear layer mostly, a 1x1 convolution, BatchNorm before a
linear layer (RepViT, LeViT, iFormer), or two of these whose logits are averaged (distilled models).
"""

import difflib
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
import torch.nn.functional as F
from huggingface_hub.utils import httpx
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import resolve_data_config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from files.errors import UserError, first_line
from hub.offline import offline_if_unreachable
from model_folder.folder import WEIGHTS, ModelFolder, fault_of_labels
from train.hardware import NO_MAIN_MEMORY, forked_rng

# Whatever a module raises for an input, or an option, that it was not made for.
_UNFIT = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


# Whatever reading a pickle raises that is none.
_DAMAGED = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)


class ModelError(UserError):
    """An architecture that timm does not know, or that can't be trained as the recipe says."""


class WeightsError(UserError):
    """Weights that can't be fetched or don't fit the architecture."""


class PreviousModelError(UserError):
    """A model to start from (`init_from`) of another architecture, or without some of the classes."""


class FrozenError(UserError):
    """An architecture whose classifier can't learn alone."""


def build_model(
    architecture: str,
    num_classes: int,
    image_size: int,
    pretrained: bool,
    weights: Path | None,
    drop_rate: float,
    preparation: dict[str, Any] | None = None,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """Builds a timm model whose classifier is new and whose backbone starts as asked.

    Args:
        architecture: A timm model name, with or without a weights tag.
        num_classes: Outputs of the classifier.
        image_size: Side of the pictures in pixels, for architectures that must know it.
        pretrained: Take timm's weights from the Hub (or its cache).
        weights: A file with the backbone's weights, see `load_backbone`; wins over `pretrained`.
        drop_rate: Dropout before the classifier, 0 to 1.
        preparation: `mean`, `std` and the like, where they are not those of the architecture.
        drop_path_rate: Stochastic depth (Huang et al. 2016) at the last block, 0 to 1.

    Raises:
        ModelError: Unknown architecture, one without stochastic depth, or one that can't have this size.
        WeightsError: Weights not reachable, or not of this architecture.
    """
    if not timm.is_model(architecture):
        similar = difflib.get_close_matches(architecture, timm.list_models(), n=4)
        hint = f"similar: {', '.join(similar)}" if similar else "see timm.list_models()"
        raise ModelError(f"timm has no model {architecture!r}; {hint}")
    fetch = pretrained and weights is None
    options: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    if timm.get_pretrained_cfg(architecture).fixed_input_size:
        options["img_size"] = image_size
    try:
        with offline_if_unreachable() if fetch else nullcontext():
            model = timm.create_model(
                architecture,
                pretrained=fetch,
                num_classes=num_classes,
                drop_rate=drop_rate,
                pretrained_cfg_overlay=preparation,
                **options,
            )
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise ModelError(f"{architecture} has no stochastic depth: leave drop_path_rate away") from None
    except AssertionError as error:
        raise _unfit_size(architecture, image_size, error) from None
    except (OSError, httpx.HTTPError, RuntimeError) as error:
        if not fetch:
            raise
        hub_id = timm.get_pretrained_cfg(architecture).hf_hub_id
        file = f"model.safetensors of huggingface.co/{hub_id}" if hub_id else "a safetensors file"
        raise WeightsError(
            f"the pretrained weights of {architecture} can't be fetched ({first_line(error)}): give {file} with "
            "weights=FILE, or train from random weights with pretrained=false"
        ) from None
    if weights is not None:
        load_backbone(model, architecture, weights)
    return model


def load_backbone(model: nn.Module, architecture: str, weights: Path) -> None:
    """Loads a backbone from a file; the classifier stays as it is.

    Args:
        model: The model.
        architecture: Its timm name, for errors.
        weights: Safetensors in timm's names. Or a PyTorch file, of which nothing but tensors is read: in timm's names,
            or in others, where it has the same tensors as the model, in the same order.

    Raises:
        WeightsError: No such file, damaged, or weights missing, unexpected or of another shape.
    """
    try:
        state = _read_weights(weights, model)
    except OSError as error:
        raise WeightsError(f"weights={weights} can't be read: {first_line(error)}") from None
    except (SafetensorError, UnpicklingError, struct.error, *_DAMAGED) as error:
        raise WeightsError(
            f"weights={weights} is no safetensors or PyTorch file of tensors ({first_line(error)})"
        ) from None
    classifier = classifier_names(model)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if name not in classifier}
    given = {name: tensor for name, tensor in state.items() if name not in classifier}
    faults = {
        # A counter that no result depends on; some exports leave it out.
        "missing": {name for name in wanted.keys() - given.keys() if not name.endswith("num_batches_tracked")},
        "unexpected": given.keys() - wanted.keys(),
        "other shape": {n for n in wanted.keys() & given.keys() if wanted[n].shape != given[n].shape},
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{kind}: {', '.join(sorted(names)[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            for kind, names in faults.items()
            if names
        )
        raise WeightsError(f"weights={weights} does not fit {architecture} ({listed}): choose its architecture")
    floats = {n: t.float() if t.is_floating_point() else t for n, t in given.items()}
    model.load_state_dict(floats, strict=False)


def _read_weights(file: Path, model: nn.Module) -> dict[str, torch.Tensor]:
    """Reads a file of tensors; another implementation's names become the model's, where all else is the same."""
    if file.suffix not in (".pth", ".pt"):
        return load_file(file)
    state, own = torch.load(file, map_location="cpu", weights_only=True), model.state_dict()
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError("it holds something other than named tensors")
    if not all(isinstance(name, str) for name in state):
        raise ValueError("its tensors have no names")
    classifier = classifier_names(model)
    same = (
        state.keys() != own.keys()
        and len(state) == len(own)
        and all(
            theirs.rpartition(".")[2] == ours.rpartition(".")[2]
            and (ours in classifier or state[theirs].shape == own[ours].shape)
            for theirs, ours in zip(state, own, strict=True)
        )
    )
    return dict(zip(own, state.values(), strict=True)) if same else state


def check_previous(previous: ModelFolder, architecture: str, label_names: Sequence[str]) -> None:
    """Makes sure that training can go on from a model with this architecture and these classes.

    Raises:
        PreviousModelError: Another architecture, or classes that it does not know.
    """
    theirs = previous.config["architecture"]
    if theirs != architecture.partition(".")[0]:
        raise PreviousModelError(
            f"init_from={previous.path} is a {theirs} and the recipe says {architecture}: set architecture={theirs}"
        )
    if unknown := [name for name in label_names if name not in previous.label_names]:
        raise PreviousModelError(
            f"init_from={previous.path} does not know {', '.join(unknown)}: it knows "
            f"{', '.join(previous.label_names)}; start from other weights, or rename the classes"
        )


def load_previous(model: nn.Module, previous: ModelFolder, label_names: Sequence[str]) -> None:
    """Loads the weights of a model folder; the rows of its last linear layers are matched by the classes' names.

    Raises:
        PreviousModelError: Its weights don't fit: another size of pictures, say.
    """
    rows = [previous.label_names.index(name) for name in label_names]
    ends = {id(parameter) for linear in final_linears(model) for parameter in linear.parameters()}
    by_class = {name for name, parameter in model.named_parameters() if id(parameter) in ends}
    state = {
        name: tensor[rows] if name in by_class else tensor
        for name, tensor in load_file(previous.path / WEIGHTS).items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise PreviousModelError(
            f"init_from={previous.path} does not fit ({' '.join(str(error).split())[:200]}): "
            f"use its image_size, {previous.config['pretrained_cfg']['input_size'][-1]}"
        ) from None


def model_data_config(model: nn.Module, image_size: int, crop_mode: str) -> dict[str, Any]:
    """Returns how pictures are prepared for this model, in timm's terms.

    Mean, std and interpolation are those of the architecture's weights. The whole shorter side is kept
    (`crop_pct` 1): a dancer's head and feet are at the edges.
    """
    size = {"input_size": (3, image_size, image_size), "crop_pct": 1.0, "crop_mode": crop_mode}
    return resolve_data_config(size, model=model)


def cpu_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Returns a copy of the weights in main memory."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.state_dict().items()}


def classifier_modules(model: Any) -> list[nn.Module]:
    """Returns the classifier; distilled architectures have two."""
    classifier = model.get_classifier()
    return list(classifier) if isinstance(classifier, tuple) else [classifier]


def classifier_names(model: Any) -> set[str]:
    """Returns the state-dict names of the classifier's weights and statistics."""
    inside = {
        id(tensor) for module in classifier_modules(model) for tensor in module.state_dict(keep_vars=True).values()
    }
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in inside}


def final_linears(model: Any) -> list[nn.Linear | nn.Conv2d]:
    """Returns the layers that the logits come out of: one, or two whose logits are averaged.

    Dividing their weights and biases divides the logits; `try_model` makes sure of that.
    """
    return [
        layer
        for module in classifier_modules(model)
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] == model.num_classes
    ]


def zero_classifier(model: Any) -> None:
    """Lets a classifier begin as logistic regression does, with logits of 0.

    A BatchNorm before the linear layer stays: were both 0, neither would have a gradient.
    """
    for linear in final_linears(model):
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)


def freeze_backbone(model: Any) -> None:
    """Leaves only the classifier to learn: no gradient is computed for anything else."""
    model.requires_grad_(False)
    for module in classifier_modules(model):
        module.requires_grad_(True)


def unfreeze(model: nn.Module) -> None:
    """Lets everything learn."""
    model.requires_grad_(True)


def set_training_mode(model: Any, freeze_statistics: bool) -> None:
    """Puts into training mode what learns, and only that.

    BatchNorm in training mode moves its statistics even when its weights are frozen, so a frozen backbone
    must be in evaluation mode.

    Args:
        model: A timm model, or the half of it that learns.
        freeze_statistics: BatchNorm keeps its statistics also where its weights learn, but for the classifier's own,
            which has none to keep.
    """
    frozen = not all(parameter.requires_grad for parameter in model.parameters())
    model.train(not frozen)
    if freeze_statistics:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
    for module in classifier_modules(model):
        module.train()


def checkpoint_gradients(model: Any, freeze_batchnorm: bool) -> None:
    """Lets a model compute its activations again on the way back instead of keeping them: less memory, more time.

    `model.set_grad_checkpointing(False)` ends it, as it must before the model is exported.

    Raises:
        ModelError: The architecture can't, or its BatchNorm would count every batch twice.
    """
    name = model.pretrained_cfg["architecture"]
    try:
        model.set_grad_checkpointing(True)
    except (AssertionError, AttributeError):
        raise ModelError(f"{name} has no gradient checkpointing: leave gradient_checkpointing away") from None
    if not freeze_batchnorm and any(isinstance(module, _BatchNorm) for module in model.modules()):
        model.set_grad_checkpointing(False)
        raise ModelError(
            f"with gradient_checkpointing the BatchNorm layers of {name} would see every batch twice: "
            "set freeze_batchnorm=true, too"
        )


class Classifier(nn.Module):
    """The half that learns: dropout and a model's classifier, whose weights it shares."""

    scale: torch.Tensor | None

    def __init__(self, model: Any, drop_rate: float, scale: torch.Tensor | None = None) -> None:
        """Takes what learns.

        Args:
            model: A timm model.
            drop_rate: 0 to 1.
            scale: What features are divided by, (features,); the weights are those for features so divided, see
                `rescale`. None: by nothing.
        """
        super().__init__()
        self.classifiers = nn.ModuleList(classifier_modules(model))
        # Some classifiers have the model's dropout inside.
        inside = any(isinstance(module, nn.Dropout) for module in self.classifiers.modules())
        self.drop_rate = 0.0 if inside else drop_rate
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Turns features, (batch, features), into logits, (batch, classes), in full precision.

        It costs nothing, and bf16 keeps a penalised loss from coming to its minimum.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            if self.scale is not None:
                features = features / self.scale
            features = F.dropout(features, self.drop_rate, self.training)
            if isinstance(self.classifiers[0], nn.Conv2d):
                # A fully convolutional network's classifier is a convolution over one pixel.
                features = features[:, :, None, None]
            logits = [classifier(features).flatten(1) for classifier in self.classifiers]
            return torch.stack(logits).mean(0)

    def get_classifier(self) -> nn.Module:
        """Returns what learns, as timm's models do."""
        return self


class FrozenBackbone(nn.Module):
    """A model whose classifier alone learns: no graph, no activations kept and no BatchNorm moved in the rest.

    Attributes:
        num_features: How many numbers the classifier sees of a picture.
    """

    def __init__(self, model: Any, drop_rate: float, input_size: tuple[int, int, int]) -> None:
        """Splits a timm model, and tries on two pictures of noise whether the halves do what the whole does.

        Args:
            model: Shares its weights with this module.
            drop_rate: Dropout before the classifier, 0 to 1.
            input_size: Channels, height and width of a picture.

        Raises:
            FrozenError: They do not.
        """
        super().__init__()
        self.model, self.classifier = model, Classifier(model, drop_rate)
        self.eval()
        try:
            with torch.inference_mode():
                noise = _noise(model, 2, *input_size)
                features = self.features(noise)
                halves, whole = self.classifier(features), model(noise)
            same = halves.shape == whole.shape and torch.allclose(halves, whole, 1e-3, 1e-3)
            reason = None if same else "it is more than one layer on the features"
        except _UNFIT as error:
            reason = first_line(error).rstrip(".")
        if reason:
            name = model.pretrained_cfg["architecture"]
            raise FrozenError(f"the classifier of {name} can't learn alone ({reason}): set freeze_epochs=0")
        self.num_features = features.shape[1]

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Turns images, (batch, 3, height, width), into what the classifier sees of them, (batch, num_features)."""
        with torch.no_grad():
            return self.model.forward_head(self.model.forward_features(images), pre_logits=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turns images, (batch, 3, height, width), into logits, (batch, classes)."""
        return self.classifier(self.features(images))

    def train(self, mode: bool = True) -> "FrozenBackbone":
        """Sets the mode of the classifier; BatchNorm and dropout of the backbone stay in evaluation mode."""
        super().train(False)
        self.classifier.train(mode)
        return self

    def get_classifier(self) -> nn.Module:
        """Returns what learns, as timm's models do."""
        return self.classifier


def takes_scale(model: Any) -> bool:
    """Tells whether a classifier can be rescaled for features that are divided by something.

    One that begins with BatchNorm can't, and has no need of it.
    """
    return all(isinstance(module, nn.Linear | nn.Conv2d) for module in classifier_modules(model))


def rescale(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Returns a classifier's weight for features that are divided by `scale`; by `1 / scale`, the way back.

    Args:
        weight: Of shape (classes, features) or (classes, features, 1, 1).
        scale: Powers of two, of shape (features,): so nothing is rounded, whatever way and how often.
    """
    return weight * scale.to(weight).view(1, -1, *[1] * (weight.ndim - 2))


def try_model(
    model: Any,
    label_names: Sequence[str],
    sides: Sequence[int],
    batch_size: int,
    *,
    freezes: bool,
    unfreezes: bool,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Finds out before a run begins whether the model can be trained, calibrated and put into a model folder.

    Two pictures of noise go forwards and backwards as each stage would send them, then a full batch of the largest
    size, with room for the optimizer's state. Weights, statistics and random generators stay as they are, to the bit.

    Args:
        model: A timm model, on its device, not yet prepared for several processes.
        label_names: The dataset's classes.
        sides: Sizes of pictures in pixels: the recipe's `image_size`, then its `image_sizes`.
        batch_size: Pictures that this process gets at once.
        freezes: The recipe has a stage in which only the classifier learns.
        unfreezes: It has one in which everything learns.
        autocast: Gives the precision that steps are computed in.

    Raises:
        ModelError: Labels that no model folder may hold, a size that the architecture can't take, or logits that
            can't be calibrated.
        FrozenError: The architecture's classifier can't learn alone.
        torch.OutOfMemoryError, RuntimeError: A full batch does not fit; see `train.hardware.plain_memory_errors`.
    """
    if fault := fault_of_labels(list(label_names), len(label_names)):
        raise ModelError(f"the dataset's labels don't fit into a model folder ({fault}): rename or remove some")
    with _unchanged(model):
        for side in set(sides):
            with _refused_sizes(model, side):
                _check_calibration(model, _noise(model, 2, 3, side, side))
        learners = [FrozenBackbone(model, 0.0, (3, sides[0], sides[0]))] if freezes else []
        for learner in [*learners, model] if unfreezes else learners:
            for side in set(sides):
                with _refused_sizes(model, side):
                    _try_step(learner, _noise(model, 2, 3, side, side), autocast)
        # The last is the one that needs more memory.
        side = max(sides) if unfreezes else sides[0]
        _try_step(learner, _noise(model, max(2, batch_size), 3, side, side), autocast)


def _try_step(learner: Any, images: torch.Tensor, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
    """Sends pictures forwards and backwards, with room for the two numbers that Adam keeps of each weight."""
    if isinstance(learner, FrozenBackbone):
        freeze_backbone(learner.model)
    else:
        unfreeze(learner)
    learner.train()
    room = [torch.empty_like(p) for p in learner.parameters() if p.requires_grad for _ in range(2)]
    with autocast():
        logits = learner(images)
    logits.float().square().mean().backward()
    learner.zero_grad()
    del room


def _check_calibration(model: Any, images: torch.Tensor) -> None:
    """Makes sure that halving the weights of `final_linears` halves the logits."""
    model.eval()
    weights = [parameter for linear in final_linears(model) for parameter in linear.parameters()]
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        logits = model(images)
        for weight in weights:
            weight.div_(2)
        halved = model(images)
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)
    if logits.shape != (len(images), model.num_classes) or not torch.allclose(halved, logits / 2, 1e-3, 1e-4):
        raise ModelError(
            f"the logits of {model.pretrained_cfg['architecture']} don't come out of a linear layer and can't be "
            "calibrated: choose another architecture"
        )


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Restores whatever the passes in the block change of a model, and torch's random generators."""
    device = next(model.parameters()).device
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    training = {module: module.training for module in model.modules()}
    learning = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        with forked_rng(device):
            yield
    finally:
        model.zero_grad()
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        for module, mode in training.items():
            module.training = mode
        for parameter, learns in learning.items():
            parameter.requires_grad_(learns)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _noise(model: nn.Module, *shape: int) -> torch.Tensor:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return images.to(next(model.parameters()).device)


@contextmanager
def _refused_sizes(model: Any, side: int) -> Iterator[None]:
    """Turns what a model's modules raise in the block for pictures of a size into one line."""
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except _UNFIT as error:
        if NO_MAIN_MEMORY in str(error):
            raise
        raise _unfit_size(model.pretrained_cfg["architecture"], side, error) from None


def _unfit_size(architecture: str, side: int, error: Exception) -> ModelError:
    return ModelError(
        f"{architecture} can't take pictures of {side} x {side} pixels ({first_line(error).rstrip('.')}): choose "
        "another image_size, for most transformers a multiple of the patch size"
    )
