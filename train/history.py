"""How far a run has come, and what it saw on the way: the part of a checkpoint that is not tensors."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpochRecord:
    """One line of `metrics.jsonl`.

    Attributes:
        stage: 1 (frozen backbone) or 2.
        epoch: Counted from 1 within the stage.
        train_loss: Mean over the epoch's augmented pictures, with label smoothing.
        train_accuracy: 0 to 1, on augmented pictures.
        validation_loss: Mean negative log-likelihood.
        validation_accuracy: 0 to 1.
        max_lr: The classifier's highest rate within the epoch.
        seconds: Wall-clock time of training and validation.
        steps: Updates of the optimizer.
        candidate: Whether its model may be the one that is kept.
    """

    stage: int
    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    max_lr: float
    seconds: float
    steps: int
    candidate: bool = True

    def table_row(self, best: bool) -> str:
        """Returns the line that `fit` prints, under `TABLE_HEAD`; a star marks the best epoch so far."""
        return (
            f"{self.stage:5} {self.epoch:5} {self.max_lr:9.1e} {self.train_loss:10.3f} {self.train_accuracy:9.1%} "
            f"{self.validation_loss:10.3f} {self.validation_accuracy:9.1%} {self.seconds:7.1f} s{' *' if best else ''}"
        )


TABLE_HEAD = "stage epoch    max_lr train_loss train_acc valid_loss valid_acc      time"


@dataclass
class EpochTrace:
    """What an epoch of training has seen so far.

    Attributes:
        stage: 1 (frozen backbone) or 2.
        epoch: Counted from 1 within the stage.
        batches: How many of its batches are done.
        losses: A mean over its pictures per step; `rates` and `momenta` likewise.
        rates: The classifier's.
        momenta: The classifier's.
        right: Pictures classified correctly, in all processes.
        seen: Pictures, in all processes.
        seconds: Wall-clock time, of interrupted attempts, too.
    """

    stage: int
    epoch: int
    batches: int = 0
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    momenta: list[float] = field(default_factory=list)
    right: int = 0
    seen: int = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """The mean over all steps."""
        return sum(self.losses) / len(self.losses)

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.right / self.seen


@dataclass
class History:
    """What has been done.

    Attributes:
        records: One per epoch.
        losses: One per step, over both stages; so are `rates` and `momenta`.
        chosen: What was looked for where the recipe says "auto", by its key.
    """

    records: list[EpochRecord] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    momenta: list[float] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)

    def epochs_done(self, stage: int) -> int:
        """Returns how many epochs of a stage are complete."""
        return sum(record.stage == stage for record in self.records)

    def is_over(self, stage: int, epochs: int, patience: int | None) -> bool:
        """Tells whether a stage has had its epochs, or has not improved within its last `patience` ones.

        Patience is for epochs that may be kept.
        """
        records = [record for record in self.records if record.stage == stage]
        if len(records) >= epochs:
            return True
        candidates = [record for record in records if record.candidate]
        return (
            patience is not None and bool(candidates) and len(records) - max(candidates, key=_worth).epoch >= patience
        )

    def add(self, record: EpochRecord, losses: list[float], rates: list[float], momenta: list[float]) -> None:
        """Adds an epoch and its steps."""
        self.records.append(record)
        self.losses += losses
        self.rates += rates
        self.momenta += momenta

    @property
    def best(self) -> EpochRecord | None:
        """The candidate whose model is kept: highest validation accuracy, then lowest loss, then the earliest."""
        return max((record for record in self.records if record.candidate), key=_worth, default=None)

    def verdict(self) -> str:
        """Returns in words which epoch's model is kept, and what the other stage has to show."""
        best = self.best
        assert best is not None, "there was an epoch"
        said = f"kept: stage {best.stage}, epoch {best.epoch}, {best.validation_accuracy:.1%} of validation right"
        others = [record for record in self.records if record.candidate and record.stage != best.stage]
        if not others:
            return said
        other = max(others, key=_worth)
        return f"{said} (stage {other.stage}, epoch {other.epoch}: {other.validation_accuracy:.1%})"

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists and dicts."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "History":
        """Restores what `to_json` gave."""
        return cls(**{**values, "records": [EpochRecord(**record) for record in values["records"]]})


def _worth(record: EpochRecord) -> tuple[float, float]:
    return record.validation_accuracy, -record.validation_loss
