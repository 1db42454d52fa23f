from dataclasses import replace

from train.history import EpochRecord, History


def _record(stage: int, epoch: int, accuracy: float, loss: float) -> EpochRecord:
    return EpochRecord(stage, epoch, 1.0, 0.5, loss, accuracy, 1e-3, 1.0, 4)


def test_the_best_is_most_accurate_then_lowest_loss_then_earliest() -> None:
    progress = History()
    assert progress.best is None
    for record in (_record(1, 1, 0.5, 1.0), _record(1, 2, 0.7, 0.9), _record(2, 1, 0.7, 0.8), _record(2, 2, 0.7, 0.8)):
        progress.add(record, [1.0], [0.1], [0.9])
    assert progress.best is progress.records[2]
    assert (progress.epochs_done(1), progress.epochs_done(2)) == (2, 2)


def test_only_candidates_are_kept() -> None:
    progress = History()
    records = [(1, 1, 0.9, False), (1, 2, 0.5, True), (2, 1, 0.8, False), (2, 2, 0.6, True)]
    for stage, epoch, accuracy, candidate in records:
        progress.add(replace(_record(stage, epoch, accuracy, 1.0), candidate=candidate), [1.0], [0.1], [0.9])
    assert progress.best is progress.records[3]
    assert progress.verdict() == "kept: stage 2, epoch 2, 60.0% of validation right (stage 1, epoch 2: 50.0%)"
    progress.records.pop()
    assert progress.best is progress.records[1]
    assert progress.verdict() == "kept: stage 1, epoch 2, 50.0% of validation right"


def test_json_and_back() -> None:
    progress = History()
    progress.add(_record(1, 1, 0.5, 1.0), [1.0, 0.5], [0.1, 0.2], [0.9, 0.8])
    assert History.from_json(progress.to_json()) == progress


def test_a_stage_is_over_after_its_epochs_or_when_patience_ends() -> None:
    progress = History()
    assert not progress.is_over(1, 5, patience=1)
    for epoch, accuracy in enumerate((0.5, 0.7, 0.6), 1):
        progress.add(_record(1, epoch, accuracy, 1.0), [1.0], [0.1], [0.9])
    assert progress.is_over(1, 3, None)
    assert not progress.is_over(1, 5, None)
    assert progress.is_over(1, 5, patience=1)
    assert not progress.is_over(1, 5, patience=2)
    # Each stage has patience of its own.
    progress.add(_record(2, 1, 0.4, 1.0), [1.0], [0.1], [0.9])
    assert not progress.is_over(2, 5, patience=1)
