from pathlib import Path

import pytest

from benchmarks.serve import main, table


def test_both_pages_run_and_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--architecture", "test_resnet", "--size", "32", "--pictures", "2", "--width", "96", "--singles", "2"]
    load = ["--clients", "3", "--each", "2", "--rounds", "1", "--without-fastai", "--work", str(tmp_path / "work")]
    main([*words, *load])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("test_resnet, 32 px, JPEGs of 96 px, 3 clients, ")
    cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines[4:]]
    assert [(title.partition(",")[0], numbers) for title, numbers in cells] == [
        (title, numbers)
        for title in (
            "start to first answer",
            "one picture through gradio_client",
            "clients at once",
            "memory after all that",
            "predict function alone",
        )
        for numbers in ("float", "int8")
    ]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    side = {"first_answer": 9.0, "single": 100.0, "throughput": 5.0, "memory": 1000.0, "alone": 50.0}
    rounds = [
        {"float": {**side, "first_answer": 9.0 * part}, "int8": side, "pipeline": side, "fastai": {"alone": 25.0}}
        for part in (0.2, 0.3, 0.9)
    ]
    lines = table(rounds).splitlines()[2:]
    assert lines[0] == "| start to first answer, s | float | 2.7 | pipeline | 9.0 | 0.30 | <= 0.50 |"
    assert lines[5] == "| clients at once, answers/s | int8 | 5.0 | pipeline | 5.0 | 1.00 | >= 1.80 |"
    assert lines[10] == "| predict function alone, p50, ms | float | 50.0 | fastai | 25.0 | 2.00 |  |"
    assert "fastai" not in table([{name: done[name] for name in ("float", "int8", "pipeline")} for done in rounds])
    assert "int8" not in table([{name: done[name] for name in ("float", "pipeline")} for done in rounds])
