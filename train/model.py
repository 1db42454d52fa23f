"""A timm model with a fresh classifier, and which of its layers learn."""

import difflib
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from accelerate import PartialState
from huggingface_hub.utils import httpx
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import resolve_data_config
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

from files.errors import UserError, first_line
from hub.offline import offline_if_unreachable
from model_folder.folder import WEIGHTS, ModelFolder


class ModelError(UserError):
    """An architecture that timm doesn't know."""


class WeightsError(UserError):
    """Weights that can't be fetched or don't fit the architecture."""


class FormerModelError(UserError):
    """A former model that can't be continued: of another architecture, or without some of the classes."""


def build_model(
    architecture: str,
    num_classes: int,
    image_size: int,
    pretrained: bool,
    weights: Path | None,
    drop_rate: float,
    preparation: dict[str, Any] | None = None,
) -> nn.Module:
    """Builds a timm model whose classifier is new and whose backbone starts as asked.

    Args:
        architecture: A timm model name, with or without a weights tag.
        num_classes: Outputs of the classifier.
        image_size: Side of the pictures in pixels, for architectures that must know it.
        pretrained: Take timm's weights from the Hub (or its cache).
        weights: A safetensors file with the backbone's weights in timm's names; wins over `pretrained`.
        drop_rate: Dropout before the classifier.
        preparation: `mean`, `std` and the like, where they are not those of the architecture.

    Raises:
        ModelError: Unknown architecture.
        WeightsError: Weights not reachable, or not of this architecture.
    """
    if not timm.is_model(architecture):
        similar = difflib.get_close_matches(architecture, timm.list_models(), n=4)
        hint = f"similar: {', '.join(similar)}" if similar else "see timm.list_models()"
        raise ModelError(f"timm has no model {architecture!r}; {hint}")
    fetch = pretrained and weights is None
    sized = {"img_size": image_size} if timm.get_pretrained_cfg(architecture).fixed_input_size else {}
    try:
        with offline_if_unreachable() if fetch else nullcontext():
            model = timm.create_model(
                architecture,
                pretrained=fetch,
                num_classes=num_classes,
                drop_rate=drop_rate,
                pretrained_cfg_overlay=preparation,
                **sized,
            )
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

    Raises:
        WeightsError: No such file, damaged, or weights missing, unexpected or of another shape.
    """
    try:
        state = load_file(weights)
    except OSError as error:
        raise WeightsError(f"weights={weights} can't be read: {first_line(error)}") from None
    except SafetensorError as error:
        raise WeightsError(f"weights={weights} is no safetensors file ({first_line(error)})") from None
    classifier = classifier_names(model)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if name not in classifier}
    found = {name: tensor for name, tensor in state.items() if name not in classifier}
    faults = {
        # A counter that no result depends on; some exports leave it out.
        "missing": {name for name in wanted.keys() - found.keys() if not name.endswith("num_batches_tracked")},
        "unexpected": found.keys() - wanted.keys(),
        "other shape": {n for n in wanted.keys() & found.keys() if wanted[n].shape != found[n].shape},
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{kind}: {', '.join(sorted(names)[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            for kind, names in faults.items()
            if names
        )
        raise WeightsError(f"weights={weights} does not fit {architecture} ({listed}): choose its architecture")
    floats = {n: t.float() if t.is_floating_point() else t for n, t in found.items()}
    model.load_state_dict(floats, strict=False)


def check_former(former: ModelFolder, architecture: str, label_names: Sequence[str]) -> None:
    """Makes sure that a former model can go on with this architecture and these classes.

    Raises:
        FormerModelError: Another architecture, or classes that it does not know.
    """
    theirs = former.config["architecture"]
    if theirs != architecture.partition(".")[0]:
        raise FormerModelError(
            f"init_from={former.path} is a {theirs} and the recipe says {architecture}: set architecture={theirs}"
        )
    if strangers := [name for name in label_names if name not in former.label_names]:
        raise FormerModelError(
            f"init_from={former.path} does not know {', '.join(strangers)}: it knows {', '.join(former.label_names)}; "
            "start from other weights, or rename the classes"
        )


def load_former(model: nn.Module, former: ModelFolder, label_names: Sequence[str]) -> None:
    """Loads a former model, classifier included; the classifier's rows are matched by the classes' names.

    Raises:
        FormerModelError: Its weights don't fit: another size of pictures, say.
    """
    rows = [former.label_names.index(name) for name in label_names]
    classifier = classifier_names(model)
    state = {
        name: tensor[rows] if name in classifier else tensor
        for name, tensor in load_file(former.path / WEIGHTS).items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise FormerModelError(
            f"init_from={former.path} does not fit ({' '.join(str(error).split())[:200]}): "
            f"use its image_size, {former.config['pretrained_cfg']['input_size'][-1]}"
        ) from None


def classifier_modules(model: Any) -> list[nn.Module]:
    """Returns the classifier; distilled architectures have two."""
    classifier = model.get_classifier()
    return list(classifier) if isinstance(classifier, tuple) else [classifier]


def final_linears(model: Any) -> list[nn.Linear | nn.Conv2d]:
    """Returns the layers that the logits come out of: one, or two whose logits are averaged.

    Dividing their weights and biases divides the logits.
    """
    return [
        layer
        for module in classifier_modules(model)
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] == model.num_classes
    ]


def classifier_names(model: Any) -> set[str]:
    """Returns the state-dict names of the classifier's weights."""
    inside = {id(parameter) for module in classifier_modules(model) for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in inside}


def model_data_config(model: nn.Module, image_size: int, crop_mode: str) -> dict[str, Any]:
    """Returns how pictures are prepared for this model, in timm's terms.

    Mean, std and interpolation are those of the architecture's weights. The whole shorter side is kept
    (`crop_pct` 1): a dancer's head and feet are at the edges.
    """
    size = {"input_size": (3, image_size, image_size), "crop_pct": 1.0, "crop_mode": crop_mode}
    return resolve_data_config(size, model=model)


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
        freeze_statistics: BatchNorm keeps its statistics also where its weights learn.
    """
    frozen = not all(parameter.requires_grad for parameter in model.parameters())
    model.train(not frozen)
    for module in classifier_modules(model):
        module.train()
    if freeze_statistics:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def cpu_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Returns a copy of the weights in main memory."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.state_dict().items()}


class FrozenError(UserError):
    """An architecture whose classifier can't learn alone."""


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
        self.classifier, self.drop_rate = model.get_classifier(), drop_rate
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
            if isinstance(self.classifier, nn.Conv2d):
                # A fully convolutional network's classifier is a convolution over one pixel.
                features = features[:, :, None, None]
            return self.classifier(features).flatten(1)

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
        self.model = model
        name = model.pretrained_cfg["architecture"]
        if not isinstance(model.get_classifier(), nn.Module):
            raise FrozenError(f"{name} has several classifiers, which can't learn alone: set freeze_epochs=0")
        self.classifier = Classifier(model, drop_rate)
        self.eval()
        noise = torch.rand(2, *input_size, generator=torch.Generator().manual_seed(0))
        noise = noise.to(next(model.parameters()).device)
        with torch.inference_mode():
            try:
                features = self.features(noise)
                halves, whole = self.classifier(features), model(noise)
                if halves.shape != whole.shape or not torch.allclose(halves, whole, rtol=1e-3, atol=1e-3):
                    raise FrozenError(_refusal(name, "it is more than one layer on the features"))
            # Whatever a module says of an input that is not made for it.
            except (RuntimeError, IndexError, NotImplementedError) as error:
                raise FrozenError(_refusal(name, first_line(error))) from None
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


def rescale(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Returns a classifier's weight for features that are divided by `scale`; by `1 / scale`, the way back.

    Args:
        weight: Of shape (classes, features) or (classes, features, 1, 1).
        scale: Powers of two, of shape (features,): so nothing is rounded, whatever way and how often.
    """
    return weight * scale.to(weight).view(1, -1, *[1] * (weight.ndim - 2))


def _refusal(architecture: str, reason: str) -> str:
    return f"the classifier of {architecture} can't learn alone ({reason}): set freeze_epochs=0"


class _Mean(torch.autograd.Function):
    """The mean of a tensor over all processes, through which gradients flow back to each of them."""

    @staticmethod
    def forward(_context: Any, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.contiguous().clone()
        torch.distributed.all_reduce(tensor)
        return tensor / PartialState().num_processes

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Mean.forward(None, gradient)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """What `nn.SyncBatchNorm` does, which torch has for GPUs only, in plain operations."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalises by mean and variance over all processes' parts of the batch, which are of one size."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None, "timm's layers keep statistics"
        assert self.running_var is not None, "timm's layers keep statistics"
        assert self.num_batches_tracked is not None, "timm's layers keep statistics"
        dims = [dim for dim in range(input.dim()) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(input.dim())]
        mean = _Mean.apply(input.mean(dims))
        centred = input - mean.view(shape)
        var = _Mean.apply(centred.square().mean(dims))
        with torch.no_grad():
            count = PartialState().num_processes * input.numel() / input.shape[1]
            self.num_batches_tracked += 1
            factor = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
            self.running_mean.lerp_(mean.detach(), factor)
            self.running_var.lerp_(var.detach() * count / (count - 1), factor)
        normalised = centred * (var + self.eps).rsqrt().view(shape)
        return normalised * self.weight.view(shape) + self.bias.view(shape) if self.affine else normalised


class CpuSyncBatchNormAct(CpuSyncBatchNorm):
    """timm's BatchNorm with its activation, over all processes."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalises, then activates."""
        return self.act(self.drop(super().forward(input)))


def synchronise_batchnorm(model: Any) -> Any:
    """Makes every BatchNorm of a model see the whole batch; its weights and their names stay.

    One process alone sees it anyway, and its model is returned as it is.
    """
    state = PartialState()
    if state.num_processes == 1:
        return model
    if state.device.type != "cpu":
        return convert_sync_batchnorm(model)
    for module in model.modules():
        # A change of class, so that everything else about the layer stays.
        if isinstance(module, BatchNormAct2d):
            module.__class__ = CpuSyncBatchNormAct
        elif isinstance(module, nn.BatchNorm2d):
            module.__class__ = CpuSyncBatchNorm
    return model
