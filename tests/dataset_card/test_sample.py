from collections.abc import Callable
from pathlib import Path

from PIL import Image

from dataset_card.provenance import Provenance, read_provenance, write_provenance
from dataset_card.sample import draw_sample


def test_sizes_shapes_and_provenance(photos: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))
    assert len(files) == 64
    sizes = []
    for file in files:
        with Image.open(file) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.append(image.size)
    assert all(256 <= side <= 640 for size in sizes for side in size)
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)
    provenance = read_provenance(photos)
    assert set(provenance) == {file.relative_to(photos).as_posix() for file in files}
    assert {record.source for record in provenance.values()} == {"drawing"}


def test_one_seed_one_sample_to_the_byte(photos: Path, tmp_path: Path) -> None:
    # Fewer pictures, so other processes draw them in another order.
    draw_sample(tmp_path / "again", per_class=3, seed=8)
    files = sorted((tmp_path / "again").rglob("*.jpg"))
    assert len(files) == 24
    for file in files:
        assert file.read_bytes() == (photos / file.relative_to(tmp_path / "again")).read_bytes()
    draw_sample(tmp_path / "other", per_class=3, seed=9)
    for file in files:
        assert file.read_bytes() != (tmp_path / "other" / file.relative_to(tmp_path / "again")).read_bytes()


def test_photographs_are_never_taken_for_an_earlier_sample(
    refused: Callable[..., str], save_image: Callable[..., Path], tmp_path: Path
) -> None:
    mine = save_image("photos/kathak/my-only-photo.jpg")
    write_provenance(tmp_path / "photos", [Provenance("kathak/my-only-photo.jpg", source="commons")])
    assert "holds more than this command makes" in refused("dataset_card", "sample", tmp_path / "photos")
    # Drawings of ours with a picture of somebody else among them.
    draw_sample(tmp_path / "mixed", per_class=3, seed=8)
    draw_sample(tmp_path / "mixed", per_class=3, seed=9)
    mine.rename(tmp_path / "mixed" / "kathak" / "mine.jpg")
    assert "holds more than this command makes" in refused("dataset_card", "sample", tmp_path / "mixed")
    assert (tmp_path / "mixed" / "kathak" / "mine.jpg").exists()


def test_a_folder_of_somebody_else_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    assert "holds more than this command makes" in refused("dataset_card", "sample", tmp_path)
    assert (tmp_path / "holiday.jpg").exists()


def test_an_unknown_option_is_a_mistake(cli: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, err = cli("dataset_card", "sample", tmp_path / "x", "--per-class", "2")
    assert code == 2
    assert "'--per-class'" in err
    assert "greater than or equal to 3" in err
