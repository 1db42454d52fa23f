from dataclasses import replace

from train.history import EpochRecord, History


def _record(stage: int, epoch: int, accuracy: float, loss: float) -> EpochRecord:
    return EpochRecord(stage, epoch, 1.0, 0.5, loss, accuracy, 1e-3, 1.0, 4)


def test_the_best_is_most_accurate_then_lowest_loss_then_earliest() -> None:
    history = History()
    assert history.best is None
    for record in (_record(1, 1, 0.5, 1.0), _record(1, 2, 0.7, 0.9), _record(2, 1, 0.7, 0.8), _record(2, 2, 0.7, 0.8)):
        history.add(record, [1.0], [0.1], [0.9])
    assert history.best is history.records[2]
    assert (history.epochs_done(1), history.epochs_done(2)) == (2, 2)


def test_only_candidates_are_kept() -> None:
    history = History()
    records = [(1, 1, 0.9, False), (1, 2, 0.5, True), (2, 1, 0.8, False), (2, 2, 0.6, True)]
    for stage, epoch, accuracy, candidate in records:
        history.add(replace(_record(stage, epoch, accuracy, 1.0), candidate=candidate), [1.0], [0.1], [0.9])
    assert history.best is history.records[3]
    assert history.verdict() == "kept: stage 2, epoch 2, 60.0% of validation right (stage 1, epoch 2: 50.0%)"
    history.records.pop()
    assert history.best is history.records[1]
    assert history.verdict() == "kept: stage 1, epoch 2, 50.0% of validation right"


def test_json_and_back() -> None:
    history = History()
    history.add(_record(1, 1, 0.5, 1.0), [1.0, 0.5], [0.1, 0.2], [0.9, 0.8])
    assert History.from_json(history.to_json()) == history


def test_a_stage_is_over_after_its_epochs_or_when_patience_ends() -> None:
    history = History()
    assert not history.is_over(1, 5, patience=1)
    for epoch, accuracy in enumerate((0.5, 0.7, 0.6), 1):
        history.add(_record(1, epoch, accuracy, 1.0), [1.0], [0.1], [0.9])
    assert history.is_over(1, 3, None)
    assert not history.is_over(1, 5, None)
    assert history.is_over(1, 5, patience=1)
    assert not history.is_over(1, 5, patience=2)
    # Each stage has patience of its own.
    history.add(_record(2, 1, 0.4, 1.0), [1.0], [0.1], [0.9])
    assert not history.is_over(2, 5, patience=1)
