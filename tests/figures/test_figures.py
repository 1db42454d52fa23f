import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DRAW = """
import sys
from pathlib import Path
import numpy as np
from train.report import plots
from train.report.grad_cam import grad_cam
from train.lr_finder import LRFinderResult
import torch, timm
folder, row = Path(sys.argv[1]), {"pictures": 5, "recall": 0.8, "recall_interval": (0.38, 0.96), "precision": 0.5}
bin = {"low": 0.5, "high": 0.6, "pictures": 5, "confidence": 0.55, "accuracy": 0.6, "accuracy_interval": (0.4, 0.8)}
plots.save(plots.plot_confusion_matrix(np.eye(3, dtype=int), ["a", "b", "c"], "title"), folder / "matrix.png")
plots.save(plots.plot_per_class({"a": row}, "title"), folder / "per_class.png")
plots.save(plots.plot_reliability([bin], [], "title"), folder / "reliability.png")
plots.save(plots.plot_risk_coverage([{**bin, "coverage": 0.5}], None, "title"), folder / "risk.png")
figure = plots.plot_lr_finder(LRFinderResult((0.1, 0.2), (2.0, 1.0), 0.1))
plots.save(figure, folder / "lr.png")
assert figure._repr_png_().startswith(b"\\x89PNG")
model = timm.create_model("resnet18", num_classes=3).eval()
grad_cam(model, torch.zeros(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64))
import matplotlib as mpl
print(mpl.rcParams._get("backend"))
"""


@pytest.mark.parametrize("backend", ["module://no_such_module.backend_inline", "no_such_backend", "svg"])
def test_figures_ask_no_backend(tmp_path: Path, backend: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", DRAW, tmp_path],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(list(tmp_path.glob("*.png"))) == 5
    # One that can be had stays what somebody has asked for.
    assert (answer.stdout.strip() == "svg") == (backend == "svg")
