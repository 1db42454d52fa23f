"""Several processes that train one model: what one does for all, and what all must know of one another.

A fault, a stop and a due checkpoint concern all. What processes tell each other here goes by main memory, through
a group of its own that waits for as long as it takes: NCCL would end a run whose main process works for ten minutes.
"""

import atexit
import functools
import logging
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.state import AcceleratorState
from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from files.errors import UserError, message_of
from train.stopping import Stopped, StopRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ProcessesError(UserError):
    """A number of processes that doesn't fit, or a mistake that another process of this run has met."""


def on_cpus() -> bool:
    """Tells whether a launcher has started several processes on a machine without an accelerator.

    accelerate must be told: where it finds no GPU, each process would take itself for the only one.
    """
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.accelerator.is_available()


def make_accelerator(mixed_precision: str, **settings: Any) -> Accelerator:
    """Returns an accelerator that splits batches among the processes, whatever the one before it in this process was.

    Args:
        mixed_precision: "no", "bf16" or "fp16".
        settings: More for `Accelerator`.
    """
    # The precision of the first would be everybody's, and another one is refused.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=on_cpus(),
        mixed_precision=mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True, non_blocking=True),
        **settings,
    )


def check_processes(batch_size: int) -> None:
    """Makes sure that a batch can be divided among the processes; warns where a launcher started fewer than asked.

    Raises:
        ProcessesError: It can't.
    """
    count = PartialState().num_processes
    if batch_size % count:
        raise ProcessesError(
            f"batch_size={batch_size} can't be shared evenly by {count} processes: choose a multiple of {count}"
        )
    # `accelerate launch --cpu --num_processes N` sets these and then starts a single process, unless MPI is there.
    if count == 1 and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        logger.warning(
            "this run has one process only: accelerate launch --cpu starts more through MPI alone; "
            "use accelerate launch --multi_gpu --num_processes N, with or without GPUs"
        )


def _patient_group() -> Any:
    return _group_beside(torch.distributed.group.WORLD)


@functools.cache
def _group_beside(_world: Any) -> Any:
    return torch.distributed.new_group(timeout=timedelta(days=7), backend="gloo")


# A group that is left to the end of the interpreter aborts the process now and then: its threads are still running.
atexit.register(_group_beside.cache_clear)


def _gather(value: T) -> list[T]:
    values: list[Any] = [None] * PartialState().num_processes
    torch.distributed.all_gather_object(values, value, group=_patient_group())
    return values


def from_main(work: Callable[[], T]) -> T:
    """Does work in the main process alone and returns its result, which can be pickled, in every process.

    The others wait for as long as it takes.

    Raises:
        SystemExit: In the other processes when the work fails; the main one raises what the work does.
    """
    state = PartialState()
    if state.num_processes == 1:
        return work()
    answer: list[tuple[T] | None] = [None]
    try:
        if state.is_main_process:
            answer = [(work(),)]
    finally:
        # Also when the work fails: the others wait here.
        torch.distributed.broadcast_object_list(answer, src=0, group=_patient_group())
    if answer[0] is None:
        raise SystemExit(2)
    return answer[0][0]


def once_per_node(work: Callable[[], T]) -> T:
    """Does work in one process of each machine and returns its result, which can be pickled, in all of that machine.

    Raises:
        SystemExit: Where the work was not done, when it fails on any machine.
    """
    state = PartialState()
    if state.num_processes == 1:
        return work()
    answer: tuple[bool, T | None] = (False, None)
    try:
        answer = (True, work() if state.is_local_main_process else None)
    finally:
        answers = _gather(answer)
    if not all(done for done, _ in answers):
        raise SystemExit(2)
    return answers[state.process_index - state.local_process_index][1]


def agree(code: int) -> int:
    """Returns the highest of all processes' codes."""
    if PartialState().num_processes == 1:
        return code
    highest = torch.tensor(code)
    torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX, group=_patient_group())
    return int(highest)


def everywhere(work: Callable[[], T]) -> T:
    """Does work in every process; what one of them can't do ends all, in one line.

    Raises:
        UserError: In the main process.
        SystemExit: In the others.
    """
    fault: UserError | None = None
    try:
        result = work()
    except UserError as error:
        fault = error
    if agree(int(fault is not None)):
        raise_everywhere(fault)
    return result


def raise_everywhere(fault: UserError | None) -> None:
    """Ends every process by a fault that at least one of them has met; the main process reports it.

    Raises:
        UserError: In the main process.
        SystemExit: In the others.
    """
    state = PartialState()
    if state.num_processes == 1:
        assert fault is not None, "a process alone knows its fault"
        raise fault
    met = [text for text in _gather(message_of(fault) if fault else None) if text]
    if state.is_main_process:
        raise ProcessesError(met[0]) from None
    raise SystemExit(2)


def is_lost_process(error: BaseException) -> bool:
    """Tells whether an error only says that another process of this run is gone; that one has said why itself."""
    if PartialState().num_processes == 1:
        return False
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)


_FAULT = 1000


class SynchronisedBatches:
    """A loader whose processes agree, before each batch, that all have theirs, and on what is to be done first."""

    def __init__(
        self,
        loader: Any,
        request: Callable[[], int] = lambda: 0,
        act: Callable[[int], None] = lambda _agreed: None,
    ) -> None:
        """Wraps a loader that has a length.

        Args:
            loader: Gives as many batches in every process.
            request: What this process asks for before the next batch: 0 for nothing, below 1000.
            act: Called in every process with the highest request, where that is not 0.
        """
        self.loader, self.request, self.act = loader, request, act

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yields the loader's batches.

        Raises:
            UserError: A batch can't be had, here or in another process.
        """
        batches = iter(self.loader)
        while True:
            fault, batch = None, None
            try:
                batch = next(batches)
            except StopIteration:
                return
            except UserError as error:
                fault = error
            agreed = agree(_FAULT if fault else self.request())
            if agreed == _FAULT:
                raise_everywhere(fault)
            if agreed:
                self.act(agreed)
            yield batch


def stoppable(loader: Any, stop: StopRequest) -> SynchronisedBatches:
    """Returns a loader's batches, before each of which the run ends once a process has got a signal.

    Nothing is saved. `Stopped` is raised, in every process, while they are iterated over.
    """

    def end(agreed: int) -> None:
        raise Stopped(agreed)

    return SynchronisedBatches(loader, lambda: stop.exit_code, end)


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


class CpuSyncBatchNorm(_BatchNorm):
    """What `nn.SyncBatchNorm` does, which torch has for GPUs only, in plain operations."""

    act: nn.Module
    drop: nn.Module

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalises by mean and variance over all processes' parts of the batch, which are of one size."""
        normalised = self._synchronised(input) if self.training else super().forward(input)
        # timm's BatchNormAct2d activates, too.
        return self.act(self.drop(normalised)) if hasattr(self, "act") else normalised

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    def _synchronised(self, input: torch.Tensor) -> torch.Tensor:
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
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            # A change of class, so that everything else about the layer stays.
            module.__class__ = CpuSyncBatchNorm  # type: ignore[assignment]
    return model
