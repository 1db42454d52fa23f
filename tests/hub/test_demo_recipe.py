"""`make demo RECIPE=recipes/resnet34.yaml`, whose weights come from the Hub: from drawings to the page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote
from urllib.request import ProxyHandler, build_opener

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from tests.conftest import ROOT, served
from tests.hub.conftest import ask
from tests.minihub.fixture import RunningHub, start_hub

REPO = "timm/resnet34.a1_in1k"
# Stage 1 alone: the backbone stays as it came.
FIT = "image_size=64 batch_size=8 feature_views=1 freeze_epochs=2 epochs=0 num_workers=0 mixed_precision=no"
# What is installed is there: it runs the tests.
MAKE = ["make", "-o", ".venv/runtime", "-o", ".venv/demo", "demo"]
# Whatever is asked of anything but the Hub fails.
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """A Hub on which timm has put a ResNet34, by timm's own way; no other network."""
    with start_hub(tmp_path / "hub", users="hf_alice=alice:write:timm,hf_alice_read=alice:read") as hub:
        ask(
            hub,
            "import timm\n"
            "model = timm.create_model('resnet34')\n"
            f"timm.models.push_to_hf_hub(model, {REPO!r}, safe_serialization=True)",
        )
        yield hub


def test_a_resnet34_from_the_hub_serves_beside_the_run_of_the_default(
    tmp_path: Path, hub: RunningHub, run_folder: Path
) -> None:
    demo, home = tmp_path / "demo", tmp_path / "home"
    shutil.copytree(run_folder, demo / "run")
    before = _contents(demo / "run")
    hub.clear_log()

    words = [f"DEMO={demo}", "RECIPE=recipes/resnet34.yaml", "SAMPLE=--per-class 4", f"FIT={FIT}"]
    environment = {**hub.environment(token=None, home=home), **NOWHERE, "OMP_NUM_THREADS": "1"}
    no_proxy = build_opener(ProxyHandler({}))
    with served([*MAKE, *words], ROOT, environment) as (address, said):
        assert no_proxy.open(f"{address}/health", timeout=10).status == 200
    with pytest.raises(URLError):
        no_proxy.open(f"{address}/health", timeout=10)
    assert f"MODEL_ID={demo}/run-resnet34/model " in said
    assert "resnet34 from hub weights, 64 px" in said
    assert "test accuracy" in said

    # The Hub was asked for nothing else, and gave the weights once: fit takes what lr-find has fetched.
    asked = [(entry["method"], unquote(entry["url"])) for entry in hub.log()]
    assert {url for _, url in asked if REPO not in url} == {"/"}
    assert [method for method, _ in asked].count("GET") == 1
    weights = load_file(next(home.rglob("model.safetensors")))
    model = demo / "run-resnet34" / "model"
    learned = load_file(model / "model.safetensors")
    assert learned.keys() == weights.keys()
    differing = {name for name in weights if not torch.equal(weights[name], learned[name])}
    assert differing == {"fc.weight", "fc.bias"}
    assert weights["fc.weight"].shape == (1000, 512)
    assert learned["fc.weight"].shape == (8, 512)
    assert ModelCard.load(model / "README.md").data.base_model == REPO

    assert {path.name for path in demo.glob("run*")} == {"run", "run-resnet34"}
    assert _contents(demo / "run") == before


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
