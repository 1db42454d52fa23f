"""BatchNorm over the whole batch, however many processes share it."""

from typing import Any

import torch
from accelerate import PartialState
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import nn


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
