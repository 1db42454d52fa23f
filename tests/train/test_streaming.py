import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator

from train.data import DatasetError, LabelledImages, load_images
from train.loaders import make_train_batches
from train.recipe import Recipe
from train.stopping import StopRequest
from train.streaming import StreamedBatches

CONFIG = {"interpolation": "bicubic", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the seconds that `datasets` gives Arrow's threads at the end of every stream."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.fixture(scope="module")
def images(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    """The dataset, its training split streamed from two shards."""
    folder = shutil.copytree(dataset_folder, tmp_path_factory.mktemp("sharded") / "dances")
    [whole] = (folder / "data").glob("train-*.parquet")
    table = pq.read_table(whole)
    whole.unlink()
    for number, part in enumerate((table.slice(0, 20), table.slice(20))):
        pq.write_table(part, folder / "data" / f"train-{number:05d}-of-00002.parquet")
    return load_images(str(folder), streaming=True)


def _batches(images: LabelledImages, **settings: Any) -> StreamedBatches:
    usual = {"image_size": 32, "batch_size": 10, "num_workers": 0, "shuffle_buffer": 12, "streaming": True}
    recipe = Recipe(dataset="dances", output_dir=Path("run"), **{**usual, **settings})
    batches = make_train_batches(recipe, Accelerator(cpu=True), images, CONFIG)
    assert isinstance(batches, StreamedBatches)
    return batches


def _epoch(batches: StreamedBatches, epoch_seed: int) -> tuple[torch.Tensor, list[int]]:
    batches.start(epoch_seed, 0)
    pictures, labels = zip(*batches, strict=True)
    return torch.cat(pictures), torch.cat(labels).tolist()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_follows_from_its_seed(images: LabelledImages, num_workers: int) -> None:
    batches = _batches(images, num_workers=num_workers)
    torch.manual_seed(num_workers)
    first, again, other = (_epoch(batches, seed) for seed in (5, 5, 6))
    # Of 48 pictures.
    assert len(batches) == 4
    assert (first[0].shape, first[0].dtype, len(first[1])) == ((40, 3, 32, 32), torch.float32, 40)
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1] != other[1]


def test_it_is_used_like_batches_of_stored_pictures(images: LabelledImages) -> None:
    batches = _batches(images, image_sizes=(40, 32), channels_last=True)
    batches.cache(StopRequest())
    batches.resize(40)
    batches.start(1, 0)
    pictures, _ = next(iter(batches))
    assert pictures.shape == (10, 3, 40, 40)
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    sample = batches.sample(5)
    assert [picture.shape for picture, _ in sample] == [(3, 32, 32)] * 5


def test_fewer_pictures_than_a_batch(images: LabelledImages) -> None:
    with pytest.raises(DatasetError, match=r"48 pictures to stream are less than a batch \(batch_size=49\)"):
        _batches(images, batch_size=49)


def test_a_picture_that_cannot_be_decoded_is_named(images: LabelledImages) -> None:
    assert images.stream is not None
    rows = [{"image": {"bytes": b"no picture", "path": None}, "label": 1, "sha256": "ab12"}]
    features = datasets.Features({**images.stream.features, "image": datasets.Image(decode=False)})
    missing = {name: None for name in features if name not in rows[0]}
    damaged = datasets.Dataset.from_list([{**rows[0], **missing}], features=features).to_iterable_dataset()
    batches = _batches(LabelledImages("d", "D", None, images.label_names, images.splits, False, damaged))
    with pytest.raises(DatasetError, match=r"the picture of train.* sha256 ab12 can't be read"):
        _epoch(batches, 1)
