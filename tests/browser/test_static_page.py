"""The page without a server, in real Chromium: from a host of files, and then without a network."""

import base64
import html
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from demo.answering import Answering
from demo.models.model import load_model
from demo.static_page.site import write_site
from demo.telling.heatmap import _COLOURS, colour, lay_over
from demo.telling.nearest import MOST, neighbourhood
from demo.telling.showing import Showing
from demo.telling.verdict import judge, percent
from demo.theme import THEME
from demo.words import LANGUAGES
from model_folder.facts import Confusions, Crop, Pair, PredictionSets, Threshold, read_crop, read_dances
from model_folder.folder import INT8_ONNX
from model_folder.reference_features import scores_of
from tests.browser.conftest import KEPT, LAUNCH, READY
from tests.browser.files_server import FilesServer
from tests.conftest import SHARED, wait_for
from tests.reference import change_pictures, forget_reference, relabel
from train.export.int8 import ATTEMPTS, quantise
from train.export.model_folder import add_onnx
from train.export.onnx_graph import raw_pixels_graph, write_parts
from train.loaders import eval_transform

pytestmark = pytest.mark.browser

# Keeps what the worker answers, number by number, and what the page's own policy forbids.
LISTENING = """
window.said = [];
window.forbidden = [];
const keep = async ({ probs, near }) => {
  const bytesOf = async (jpeg) => jpeg && Array.from(new Uint8Array(await jpeg.arrayBuffer()));
  window.jpegs = await Promise.all((near?.neighbours ?? []).map(({ jpeg }) => bytesOf(jpeg)));
  window.distances = (near?.neighbours ?? []).map(({ distance }) => distance);
  window.said.push(Array.from(probs));
};
window.Worker = class extends Worker {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({ data }) => data.probs && keep(data));
  }
};
addEventListener("securitypolicyviolation", (event) => window.forbidden.push(event.violatedDirective));
"""
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  const stage = document.querySelector(".stage");
  for (const entry of list.getEntries()) {
    const moved = entry.sources.filter((source) => source.node && !stage?.contains(source.node));
    if (moved.length) window.shifts.push([entry.value, moved.map((source) => source.node.outerHTML ?? "")]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
# Of a distance: another decoder's pixels differ by a level here and there.
OFF = 2e-4


@pytest.fixture(scope="module")
def files(site: Path) -> Iterator[FilesServer]:
    with FilesServer(site).running() as server:
        yield server


@contextmanager
def _visitor(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A visitor with a device of their own; every fault of the page's scripts fails the test."""
    errors: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
    context.add_init_script(LISTENING)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    forbidden = [page.evaluate("window.forbidden") for page in context.pages if page.url.startswith("http")]
    context.close()
    assert errors == []
    assert not any(forbidden), forbidden


def _open(context: BrowserContext, address: str, said: str = READY) -> Page:
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#loading [role=status]")).to_have_text(said, timeout=20_000)
    return page


@pytest.fixture
def page(browser: Browser, files: FilesServer) -> Iterator[Page]:
    with _visitor(browser) as context:
        yield _open(context, files.address)


def _until(page: Page, condition: str) -> None:
    """Waits for it from here: `wait_for_function` evaluates on the page, whose policy forbids that."""
    wait_for(lambda: page.evaluate(condition), 20)


def _give(page: Page, file: Path | dict[str, Any]) -> None:
    page.set_input_files("#giving input", file)


def _answered(page: Page) -> None:
    expect(page.locator(".answer:is(.sure, .unsure, .ood)")).to_be_visible(timeout=20_000)


def _see_nearest(page: Page) -> None:
    """Opens the most similar training pictures, which have come already."""
    page.locator(".near summary").click()
    images = page.locator(".near img")
    expect(images).to_have_count(3)
    for image in images.all():
        image.evaluate("image => image.decode()")


def _probs(page: Page, file: Path) -> list[float]:
    page.evaluate("window.said.length = 0")
    _give(page, file)
    _until(page, "window.said.length === 1")
    _answered(page)
    return page.evaluate("window.said[0]")


def _kept(page: Page) -> None:
    """Waits until the visitor's device has all that it will keep."""
    page.evaluate("navigator.serviceWorker.ready")
    _until(page, KEPT)


def _compare(page: Page, model_folder: Path, pictures: list[Path]) -> tuple[list[float], int]:
    """Returns how far each probability is from app.py's, and how many verdicts were clear; those must agree."""
    answering, differences, clear = Answering(load_model(str(model_folder))), [], 0
    for picture in pictures:
        probs, ours = _probs(page, picture), answering.answer(picture)
        expected = list(ours.probs.values())
        off = [abs(one - other) for one, other in zip(probs, expected, strict=True)]
        differences += off
        first, second, *_ = sorted(expected, reverse=True)
        if min(abs(first - answering.threshold.value), first - second) > 2 * max(off) + 0.005:
            clear += 1
            names = {label: told["name"] for label, told in answering.model.config["classes"].items()}
            verdict = page.locator(".verdict").inner_text()
            if ours.verdict.kind == "sure":
                assert verdict.startswith(f"{names[ours.likeliest]}, ")
            else:
                assert verdict.startswith("Not sure: ")
    return differences, clear


def test_it_says_of_drawings_what_app_py_does(page: Page, decided: Path, photos: Path) -> None:
    pictures = [*sorted((decided / "examples").glob("*.jpg")), *sorted(photos.glob("*/*.jpg"))[::4]]
    assert len(pictures) >= 20
    differences, clear = _compare(page, decided, pictures)
    assert np.median(differences) <= 5e-3
    assert clear >= len(pictures) / 2
    print(f"median {np.median(differences):.1e}, largest {max(differences):.1e}, {clear} of {len(pictures)} clear")


@pytest.mark.shared
def test_it_says_of_photographs_what_app_py_does(page: Page, decided: Path) -> None:
    pictures = sorted((SHARED / "data" / "dances").rglob("*.jpg"))[::14]
    assert len(pictures) >= 20
    differences, clear = _compare(page, decided, pictures)
    assert np.median(differences) <= 5e-3
    assert clear >= len(pictures) / 2
    print(f"median {np.median(differences):.1e}, largest {max(differences):.1e}, {clear} of {len(pictures)} clear")


def test_a_quantised_model_says_in_a_browser_what_it_does_in_app_py(
    browser: Browser, decided: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(decided, tmp_path / "model"))
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    data_config = timm.data.resolve_model_data_config(model)
    pictures = sorted(photos.glob("*/*.jpg"))[::6]
    pixels = [eval_transform(data_config)(Image.open(file).convert("RGB")).unsqueeze(0).numpy() for file in pictures]
    network = add_onnx(folder, data_config)
    assert network is not None
    # Part of it whole numbers, part of it not.
    quantised = quantise(network, pixels, ATTEMPTS[1])
    label_names = json.loads((folder / "config.json").read_text())["label_names"]
    write_parts(folder / INT8_ONNX, raw_pixels_graph(data_config), quantised, {"label_names": label_names})
    write_site(str(folder), tmp_path / "site", None, None)
    with _visitor(browser) as context, FilesServer(tmp_path / "site").running() as files:
        differences, _ = _compare(_open(context, files.address), folder, pictures)
        assert any(name.endswith("/model.int8.onnx") for name in files.asked)
    # Numbers are rounded alike, but not everywhere to the same side; the classifier multiplies that by 60.
    assert np.median(differences) <= 5e-3
    assert max(differences) <= 5e-2


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("line.png", (1000, 52), {}),
        ("small.png", (40, 33), {}),
        ("large.jpg", (3000, 2300), {"quality": 95}),
        ("turned.jpg", (400, 300), {"exif": 6, "quality": 95}),
        ("clear.png", (120, 100), {"alpha": True}),
    ],
)
def test_odd_pictures_are_seen_as_app_py_sees_them(
    page: Page, decided: Path, photos: Path, tmp_path: Path, name: str, size: tuple[int, int], options: dict[str, Any]
) -> None:
    with Image.open(next(photos.glob("kathak/*.jpg"))) as image:
        picture = image.convert("RGB").resize(size)
    if options.pop("alpha", False):
        picture.putalpha(Image.linear_gradient("L").resize(size))
    if turn := options.pop("exif", None):
        exif = Image.Exif()
        exif[274] = turn
        options["exif"] = exif
    picture.save(tmp_path / name, **options)
    differences, _ = _compare(page, decided, [tmp_path / name])
    assert max(differences) <= 2e-2


@pytest.fixture(scope="module")
def comparing_page(
    browser: Browser, comparing_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The page of a model that tells what is like none of its classes."""
    site = tmp_path_factory.mktemp("comparing") / "site"
    write_site(str(comparing_folder), site, None, None)
    with FilesServer(site).running() as files, _visitor(browser) as context:
        yield _open(context, files.address)


def _nearest_agree(page: Page, model_folder: Path, pictures: list[Path]) -> tuple[int, int]:
    """Returns how many verdicts were ood, and of how many pictures nobody could take other neighbours for these."""
    answering, ood, clear = Answering(load_model(str(model_folder))), 0, 0
    reference, learned = answering.model.reference, answering.model.learned
    dances, words = read_dances(answering.model.config), LANGUAGES["en"]
    assert reference is not None
    assert reference.threshold is not None
    for picture in pictures:
        _probs(page, picture)
        ours = answering.answer(picture)
        assert ours.nearest is not None
        distances = ours.nearest.distances[0]
        assert page.evaluate("window.distances") == pytest.approx(distances[:MOST].tolist(), abs=OFF)
        if abs(scores_of(ours.nearest)[0] - reference.threshold) > OFF:
            ood += ours.verdict.kind == "ood"
            assert page.locator(".answer.ood").count() == (ours.verdict.kind == "ood")
            assert (page.locator(".verdict").inner_text() == words("ood")) == (ours.verdict.kind == "ood")
        if np.diff(distances[: MOST + 1]).min() <= 2 * OFF:
            continue
        clear += 1
        rows = ours.nearest.rows[0, :MOST]
        assert [bytes(jpeg) for jpeg in page.evaluate("window.jpegs")] == [learned[row].jpeg for row in rows]
        expected = neighbourhood(ours.nearest, reference.threshold, learned, dances)
        assert expected is not None
        shown = page.locator(".near li").all()
        page.locator(".near summary").click()
        for place, neighbour in zip(shown, expected.neighbours, strict=True):
            assert place.locator("b").inner_text() == neighbour.name
            assert place.locator("small").inner_text() == neighbour.credit
            said = place.locator(".alike")
            distance = float(str(said.get_attribute("title")).removeprefix("distance "))
            assert distance == pytest.approx(float(neighbour.distance), abs=OFF + 1e-3)
            limits = (reference.threshold, reference.threshold / 2)
            if min(abs(distance - limit) for limit in limits) > OFF + 1e-3:
                assert said.inner_text() == words(neighbour.alike)
        limit = words("near_limit", count=expected.k, distance=expected.threshold)
        expect(page.locator(".near > p")).to_have_text(f"{words('near_what')} {limit}")
    return ood, clear


def test_what_is_like_nothing_learned_is_told_as_app_py_tells_it(
    comparing_page: Page, comparing_folder: Path, photos: Path, tmp_path: Path
) -> None:
    colours = ("white", "blue", "red", "navy")
    for name in colours:
        Image.new("RGB", (160, 200), name).save(tmp_path / f"{name}.png")
    pictures = [*(tmp_path / f"{name}.png" for name in colours), *sorted(photos.glob("*/*.jpg"))[::3]]
    ood, clear = _nearest_agree(comparing_page, comparing_folder, pictures)
    assert 3 <= ood < len(pictures) / 2
    assert clear >= len(pictures) / 5
    print(f"{ood} of {len(pictures)} ood, {clear} with clear neighbours")


@pytest.mark.shared
def test_photographs_are_judged_as_app_py_judges_them(
    comparing_page: Page, comparing_folder: Path, tmp_path: Path
) -> None:
    # To a model that has hardly learned, some photographs are like drawings; what is blue all over is not.
    Image.new("RGB", (160, 200), "blue").save(tmp_path / "blue.png")
    pictures = [tmp_path / "blue.png", *sorted((SHARED / "data" / "not_dances").rglob("*.jpg"))[::6]]
    assert len(pictures) >= 20
    ood, _ = _nearest_agree(comparing_page, comparing_folder, pictures)
    assert ood > 0


def test_what_must_not_be_shown_has_label_and_distance_alone(browser: Browser, decided: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(decided, tmp_path / "model")
    change_pictures(folder, {"file": None, "author": "Bela"})
    write_site(str(folder), tmp_path / "site", None, None)
    with _visitor(browser) as context, FilesServer(tmp_path / "site").running() as files:
        page = _open(context, files.address)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        page.locator(".near summary").click()
        expect(page.locator(".near li")).to_have_count(3)
        for place in page.locator(".near li").all():
            expect(place).to_have_text(re.compile(r"^\w+ distance \d\.\d{3}$"))
        expect(page.get_by_text("Their licences do not let them be shown here.")).to_have_count(1)
        expect(page.locator(".near :is(img, .unseen)")).to_have_count(0)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_a_model_without_a_reference_answers_without_it(browser: Browser, decided: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(decided, tmp_path / "model")
    forget_reference(folder)
    write_site(str(folder), tmp_path / "site", None, None)
    with _visitor(browser) as context, FilesServer(tmp_path / "site").running() as files:
        page = _open(context, files.address)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        expect(page.locator(".heat summary")).to_be_visible()
        expect(page.locator(".near")).to_have_count(0)


def test_an_answer_asks_nobody_anything(browser: Browser, files: FilesServer, decided: Path) -> None:
    with _visitor(browser) as context:
        page = _open(context, files.address)
        _kept(page)
        asked: list[str] = []
        context.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("blob:", "data:")) else None)
        before = len(files.asked)
        for picture in sorted((decided / "examples").glob("*.jpg"))[:3]:
            _give(page, picture)
            _answered(page)
        page.locator(".heat summary").click()
        _see_nearest(page)
        page.get_by_role("button", name="Odissi").click()
        _answered(page)
        page.wait_for_timeout(500)
        assert asked == []
        # By itself, and when it likes, the browser looks once more whether the service worker is the newest.
        assert set(files.asked[before:]) <= {"/service_worker.js"}
        assert all(path.startswith("/") and "//" not in path for path in files.asked)


def test_a_second_visit_needs_no_network(browser: Browser, site: Path, decided: Path) -> None:
    picture = decided / "examples" / "kathak.jpg"
    with _visitor(browser) as context:
        with FilesServer(site).running() as files:
            page = _open(context, files.address)
            _kept(page)
            first = _probs(page, picture)
            heavy = [path for path in files.asked if path.endswith((".onnx", ".gz", ".safetensors"))]
            assert len(heavy) == 3, "fetched once, although there is a service worker"
            page.close()
        # The server is gone.
        page = _open(context, files.address)
        assert _probs(page, picture) == first
        expect(page.locator("#examples img").first).to_have_js_property("complete", True)
        _see_nearest(page)
        page.close()
        page = _open(context, f"{files.address}index.html?from=a-link")
        assert _probs(page, picture) == first


def test_a_new_build_takes_the_place_of_the_old_one(
    browser: Browser, decided: Path, site: Path, tmp_path: Path
) -> None:
    served = shutil.copytree(site, tmp_path / "site")
    newer = shutil.copytree(decided, tmp_path / "model")
    config = json.loads((newer / "config.json").read_text())
    config["classes"]["kathak"]["name"] = "Kathak, told anew"
    (newer / "config.json").write_text(json.dumps(config))
    with _visitor(browser) as context, FilesServer(served).running() as files:
        page = _open(context, files.address)
        _kept(page)
        (old,) = page.evaluate("caches.keys()")
        write_site(str(newer), served, None, None)
        page.reload()
        expect(page.get_by_text("Kathak, told anew").first).to_be_visible()
        _until(page, f"async () => !(await caches.keys()).includes({json.dumps(old)})")
        _kept(page)


def test_it_can_be_used_while_the_model_is_on_its_way_and_says_how_far_that_is(
    browser: Browser, site: Path, decided: Path
) -> None:
    (told,) = (json.loads(path.read_text()) for path in site.glob("*/site.json"))
    total = f"{sum(told[part]['bytes'] for part in ('model', 'runtime', 'reference')) / 1e6:.1f}"
    with _visitor(browser) as context, FilesServer(site).running() as files:
        files.pause = 0.03
        page = context.new_page()
        page.goto(files.address)
        fetching = page.get_by_text(re.compile(rf"^Fetching the model: \d+\.\d of {re.escape(total)} MB$"))
        expect(fetching).to_be_visible(timeout=20_000)
        _give(page, decided / "examples" / "kathak.jpg")
        expect(page.locator(".verdict")).to_have_text("Looking at the picture …")
        _until(page, "document.querySelector('progress').value > 2e6")
        seen = float(re.search(r"[\d.]+", fetching.inner_text())[0])  # type: ignore[index]
        assert 2 <= seen < float(total)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        files.pause = 0
        _answered(page)
        expect(page.locator("#loading [role=status]")).to_have_text(READY)
        expect(page.locator("progress")).to_be_hidden()


@pytest.mark.parametrize("missing", ["model.onnx", ".wasm.gz", ".min.mjs", "reference.safetensors"])
def test_a_model_that_does_not_come_can_be_tried_again(
    browser: Browser, site: Path, decided: Path, missing: str
) -> None:
    with _visitor(browser) as context, FilesServer(site).running() as files:
        files.missing = (missing,)
        page = _open(
            context, files.address, "The model could not be fetched. Look at your connection, then try again."
        )
        _give(page, decided / "examples" / "kathak.jpg")
        files.missing = ()
        page.get_by_role("button", name="Try again").click()
        _answered(page)
        expect(page.locator("#loading [role=status]")).to_have_text(READY)


@pytest.mark.parametrize("name", ["model.onnx", "reference.safetensors"])
def test_a_model_that_comes_damaged_is_not_started(browser: Browser, site: Path, tmp_path: Path, name: str) -> None:
    served = shutil.copytree(site, tmp_path / "site")
    (file,) = served.glob(f"*/{name}")
    file.write_bytes(b"\0" * file.stat().st_size)
    with _visitor(browser) as context, FilesServer(served).running() as files:
        _open(
            context,
            files.address,
            "The model could not be started: this device may be short of memory. Close other pages, then try again.",
        )


def test_a_browser_without_simd_is_told_before_anything_is_fetched(browser: Browser, files: FilesServer) -> None:
    with _visitor(browser) as context:
        context.add_init_script("WebAssembly.validate = () => false")
        before = len(files.asked)
        page = _open(
            context,
            files.address,
            "This browser is too old for the model, which runs on your own device. "
            "Any browser of 2023 or later works.",
        )
        expect(page.locator(".answer .bars li")).to_have_count(8)
        assert not any(path.endswith((".onnx", ".gz", ".safetensors")) for path in files.asked[before:])


def test_without_scripts_it_says_what_it_needs(browser: Browser, files: FilesServer) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files.address)
    expect(page.get_by_text("This page needs JavaScript and a browser of 2023 or later.")).to_be_visible(timeout=8_000)
    context.close()


def _png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "PNG")
    return content.getvalue()


def _heic() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "HEIF")
    return content.getvalue()


_KINDS = ("jpeg", "png", "webp", "gif")
_SVG = """\ufeff<?xml version="1.0"?>
<!-- a drawing --><svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><circle r="40"/></svg>"""


def _picture(kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(8).integers(0, 255, (120, 90, 3), np.uint8)
    Image.fromarray(noise).save(content, kind, **options)
    return content.getvalue()


def _half(kind: str) -> bytes:
    whole = _picture(kind)
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jpg", b"", "This file can't be read as a picture: it is empty."),
        ("text.jpg", b"not a picture", "This browser can't read this file as a picture. JPEG, PNG, WebP and GIF"),
        ("phone.heic", _heic(), "This browser can't read HEIC, the format of iPhones: save the picture as JPEG"),
        (
            "vector.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'/>",
            "This browser can't read this file",
        ),
        ("drawn.svg", _SVG.encode(), "This browser can't read this file as a picture. JPEG, PNG, WebP and GIF"),
        *((f"half.{kind}", _half(kind), "This file can't be read as a picture: it is damaged") for kind in _KINDS),
        ("tiny.png", _png(31, 64), "This picture is too small: 32 pixels each way are the least."),
        ("line.png", _png(700, 33), "This picture is more than 20 times as long as wide"),
        ("huge.png", _png(10_001, 10_000), "This picture has more than 100 megapixels: give a smaller one."),
    ],
)
def test_what_is_no_picture_gets_a_sentence_and_the_page_goes_on(
    page: Page, decided: Path, name: str, content: bytes, said: str
) -> None:
    _give(page, {"name": name, "mimeType": "", "buffer": content})
    expect(page.locator(".answer.fault .verdict")).to_have_text(re.compile(f"^{re.escape(said)}"), timeout=20_000)
    _give(page, decided / "examples" / "kathak.jpg")
    _answered(page)


def test_a_whole_picture_is_taken_for_whole(page: Page, site: Path) -> None:
    (module,) = (f"/{path.relative_to(site)}" for path in site.glob("*/picture.js"))
    exif = Image.Exif()
    # A small copy within the picture ends before the picture does.
    exif[0x9286] = _picture("jpeg")
    whole = [_picture(kind) for kind in (*_KINDS, "bmp", "avif")]
    whole += [_picture("jpeg", progressive=True), _picture("jpeg", exif=exif), _picture("jpeg") + b"a film" * 900]
    cut = [_half(kind) for kind in _KINDS]
    cut += [
        content[: -len(content) // 3] for content in (_picture("jpeg", progressive=True), _picture("jpeg", exif=exif))
    ]
    got = page.evaluate(
        """async ([module, files]) => {
          const { isWhole } = await import(module);
          return files.map((bytes) => isWhole(new DataView(Uint8Array.from(bytes).buffer)));
        }""",
        [module, [list(content) for content in (*whole, *cut)]],
    )
    assert got == [True] * len(whole) + [False] * len(cut)


def test_labels_may_have_any_name(browser: Browser, decided: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(decided, tmp_path / "model"))
    names = ["constructor", "toString", "__proto__", "hasOwnProperty", "valueOf", "length", "name", "अ" * 60]
    former = json.loads((folder / "config.json").read_text())["label_names"]
    relabel(folder, names)
    (folder / "examples" / "examples.json").unlink()
    write_site(str(folder), tmp_path / "site", None, None)
    with _visitor(browser) as context, FilesServer(tmp_path / "site").running() as files:
        page = _open(context, files.address)
        for label, name in zip(former, names, strict=True):
            _give(page, decided / "examples" / f"{label}.jpg")
            _answered(page)
            expect(page.locator(".bars li")).to_have_count(8)
            assert name[:1].upper() + name[1:] in page.locator(".bars").inner_text()
        expect(page.locator("#title p")).to_contain_text("What does this picture show?")
        assert "dance" not in page.locator("#answer").inner_text()
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        names_shown = page.locator(".bars .name")
        assert all(names_shown.evaluate_all("names => names.map((name) => name.scrollWidth <= name.clientWidth + 1)"))


def test_on_a_phone_picture_and_answer_are_on_one_screen(browser: Browser, files: FilesServer, decided: Path) -> None:
    with _visitor(browser, viewport={"width": 390, "height": 844}) as context:
        page = _open(context, files.address)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        verdict, bar = page.locator(".verdict"), page.locator(".bars li").first
        expect(verdict).to_be_in_viewport(ratio=1)
        expect(bar).to_be_in_viewport(ratio=1)
        example = page.locator("#examples button").first
        assert example.bounding_box()["y"] > bar.bounding_box()["y"]  # type: ignore[index]
        example.scroll_into_view_if_needed()
        example.click()
        expect(page.locator("#giving")).to_be_in_viewport(ratio=0.9)
        _answered(page)
        expect(verdict).to_be_in_viewport(ratio=1)


def test_letters_of_twice_the_size_need_one_column_sooner(page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    page.context.new_cdp_session(page).send("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    giving, answer = (page.locator(place).bounding_box() for place in ("#giving", "#answer"))
    assert giving
    assert answer
    assert answer["y"] >= giving["y"] + giving["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


def test_without_leave_to_keep_anything_it_works_all_the_same(
    playwright: Playwright, site: Path, decided: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    # As where a visitor blocks all site data in the settings.
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(blocked))
    with (
        FilesServer(site).running() as files,
        playwright.chromium.launch_persistent_context(profile.parent, **LAUNCH) as context,
    ):
        page = context.new_page()
        page.goto(files.address)
        refused = "() => caches.open('x').then(() => false, () => true)"
        assert page.evaluate(refused)
        expect(page.locator("#loading [role=status]")).to_have_text(READY, timeout=60_000)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)


def test_a_hundred_megapixels_are_answered(page: Page) -> None:
    _give(page, {"name": "large.png", "mimeType": "image/png", "buffer": _png(10_000, 10_000)})
    expect(page.locator(".answer:is(.sure, .unsure, .ood)")).to_be_visible(timeout=60_000)


def test_the_last_of_several_pictures_is_answered(page: Page, decided: Path) -> None:
    expected = _probs(page, decided / "examples" / "manipuri.jpg")
    verdict = page.locator(".verdict").inner_text()
    for name in ("kathak", "odissi", "manipuri"):
        _give(page, decided / "examples" / f"{name}.jpg")
    _until(page, f"JSON.stringify(window.said.at(-1)) === JSON.stringify({expected})")
    page.wait_for_timeout(500)
    expect(page.locator(".verdict")).to_have_text(verdict)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".answer.waiting .verdict")).to_have_text("The answer appears here.")
    expect(page.get_by_role("button", name="Choose a picture")).to_be_focused()


def test_a_picture_is_dropped_or_pasted(page: Page, decided: Path) -> None:
    content = base64.b64encode((decided / "examples" / "kathak.jpg").read_bytes()).decode()
    transfer = page.evaluate_handle(
        """async (content) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "dancer.jpg", { type: "image/jpeg" }));
          return transfer;
        }""",
        content,
    )
    page.dispatch_event("#about", "drop", {"dataTransfer": transfer})
    _answered(page)
    page.get_by_role("button", name="Remove").click()
    page.evaluate(
        "(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))",
        transfer,
    )
    _answered(page)


def test_the_clipboard_and_the_camera_are_asked_by_buttons(browser: Browser, files: FilesServer) -> None:
    with _visitor(browser, permissions=["camera", "clipboard-read", "clipboard-write"]) as context:
        page = _open(context, files.address)
        page.evaluate(
            """async () => {
              const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
              canvas.getContext("2d").fillRect(20, 20, 40, 60);
              const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
              await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
            }"""
        )
        page.get_by_role("button", name="Paste").click()
        _answered(page)
        page.get_by_role("button", name="Camera").click()
        _until(page, "document.querySelector('.stage video')?.videoWidth > 0")
        track = page.evaluate_handle("document.querySelector('.stage video').srcObject.getTracks()[0]")
        page.get_by_role("button", name="Take the picture").click()
        expect(page.locator(".stage img")).to_be_visible()
        _answered(page)
        assert track.evaluate("track => track.readyState") == "ended"


def test_without_camera_and_clipboard_it_says_so(page: Page) -> None:
    refused = "() => Promise.reject(new DOMException('', 'NotAllowedError'))"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refused} }}")
    page.get_by_role("button", name="Camera").click()
    expect(page.locator(".answer.fault .verdict")).to_have_text(re.compile("^There is no camera, or this page"))
    page.evaluate(f"() => {{ navigator.clipboard.read = {refused} }}")
    page.get_by_role("button", name="Paste").click()
    expect(page.locator(".answer.fault .verdict")).to_have_text(re.compile("^There is no picture to paste"))


def test_an_example_and_its_heat_map_are_reached_with_the_keyboard_alone(page: Page) -> None:
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#examples') !== null"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    _answered(page)
    summary = page.locator(".heat summary")
    for _ in range(20):
        if page.evaluate("document.activeElement.matches('.heat summary')"):
            break
        page.keyboard.press("Tab")
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    over, under = page.locator(".heat .over"), page.locator(".heat .under")
    expect(over).to_be_visible()
    assert over.bounding_box() == under.bounding_box()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(over).to_be_hidden()
    expect(under).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "locale"), [(390, "en-GB"), (390, "hi-IN"), (1280, "en-GB")])
def test_everybody_can_read_it_on_every_screen(
    browser: Browser, files: FilesServer, decided: Path, width: int, locale: str, scheme: str
) -> None:
    def check(page: Page) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()

    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme, "reduced_motion": "reduce"}
    ready = READY if locale == "en-GB" else "मॉडल तैयार है। आपकी तस्वीरें इसी डिवाइस पर रहती हैं।"
    with _visitor(browser, **options, locale=locale) as context:
        page = _open(context, files.address, ready)
        assert page.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "dark")
        check(page)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        for summary in page.locator("summary").all():
            summary.click()
        check(page)
        _give(page, {"name": "bad.jpg", "mimeType": "", "buffer": b"no picture"})
        expect(page.locator(".answer.fault")).to_be_visible()
        check(page)


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("locale", ["en-GB", "hi-IN"])
def test_nothing_moves_when_the_answer_comes(
    browser: Browser, files: FilesServer, decided: Path, size: tuple[int, int], locale: str
) -> None:
    with _visitor(browser, viewport={"width": size[0], "height": size[1]}, locale=locale) as context:
        context.add_init_script(SHIFTS)
        page = context.new_page()
        page.goto(files.address)
        expect(page.locator("progress")).to_be_hidden(timeout=20_000)
        for picture in sorted((decided / "examples").glob("*.jpg"))[:3]:
            page.wait_for_timeout(700)
            _give(page, picture)
            _answered(page)
        page.wait_for_timeout(700)
        shifts = page.evaluate("window.shifts")
        assert sum(shift for shift, _ in shifts) < 0.005, shifts


def test_it_speaks_hindi_and_english_to_everybody_else(browser: Browser, files: FilesServer, decided: Path) -> None:
    with _visitor(browser, locale="hi-IN") as context:
        page = _open(context, files.address, "मॉडल तैयार है। आपकी तस्वीरें इसी डिवाइस पर रहती हैं।")
        expect(page.locator("html")).to_have_attribute("lang", "hi")
        expect(page.locator("#title")).to_contain_text(LANGUAGES["hi"]("intro"))
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        names = {told["name"] for told in LANGUAGES["hi"].dances.values()}
        shown = page.locator(".bars .name, #examples span, .near b").all_inner_texts()
        assert len(shown) >= 16
        assert {name for name in shown if name} < names
        expect(page.locator(".told [lang=hi]").first).to_contain_text(re.compile("[\u0900-\u097f]{3}"))
        expect(page.locator("#answer [lang=en]:not(small)")).to_have_count(0)
    with _visitor(browser, locale="ta-IN") as context:
        page = _open(context, files.address)
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_it_says_what_the_model_is_how_good_and_where_it_runs(page: Page, decided: Path) -> None:
    test = json.loads((decided / "metrics.json").read_text())["test"]
    expect(page.locator("#drawings")).to_contain_text("This model knows drawings, not photographs")
    about = page.locator("#about")
    expect(about).to_contain_text("test_resnet, trained on “Dances”")
    expect(about).to_contain_text(f"Right on {100 * test['accuracy']:.0f} % of {test['pictures']} test drawings")
    expect(about).to_contain_text(re.compile(r"\d+ drawings · cc0-1.0 \(\d+\)"))
    expect(about).to_contain_text("Nobody else sees your pictures.")
    expect(page.locator("#examples .credit")).to_have_text("Nritya, cc0-1.0")


def test_what_a_model_folder_says_is_text(browser: Browser, decided: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(decided, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    evil = "<img src=x onerror=alert(1)> ${build} </script>"
    config["classes"] = {label: dict.fromkeys(told, evil) for label, told in config["classes"].items()}
    config["training_data"]["name"] = evil
    (folder / "config.json").write_text(json.dumps(config))
    examples = json.loads((folder / "examples" / "examples.json").read_text())
    examples[0] |= {"author": evil, "file": "../config.json"}
    examples[1]["author"] = evil
    (folder / "examples" / "examples.json").write_text(json.dumps(examples))
    change_pictures(folder, {"author": evil})
    write_site(str(folder), tmp_path / "site", None, None)
    assert not [path for path in (tmp_path / "site").rglob("*") if path.name == "config.json"]
    with _visitor(browser) as context, FilesServer(tmp_path / "site").running() as files:
        page = _open(context, files.address)
        _give(page, decided / "examples" / "kathak.jpg")
        _answered(page)
        expect(page.locator(".told")).to_contain_text(evil)
        expect(page.locator("#about")).to_contain_text(evil)
        expect(page.locator("#examples")).to_contain_text(evil)
        expect(page.locator(".near small").first).to_contain_text(evil)
        assert page.locator("img[onerror], img[src='x']").count() == 0


def test_the_policy_lets_nothing_in_and_nothing_out(browser: Browser, files: FilesServer) -> None:
    context = browser.new_context()
    page = _open(context, files.address)
    ran = page.evaluate(
        """async () => {
          document.head.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
          const elsewhere = await fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused");
          // Later: a debugger's own calls may do what the page may not.
          const evaluated = await new Promise((done) => setTimeout(() => {
            try { done(eval("1")); } catch { done("refused"); }
          }));
          return [window.ran ?? "refused", elsewhere, evaluated];
        }"""
    )
    assert ran == ["refused", "refused", "refused"]
    context.close()


def test_its_colours_are_those_of_the_other_page(page: Page) -> None:
    names = ["body_background_fill", "body_text_color", "body_text_color_subdued", "block_background_fill"]
    names += ["block_border_color", "border_color_primary", "link_text_color", "primary_500", "primary_600"]
    names += ["neutral_200", "neutral_400", "neutral_500", "neutral_700", "radius_md"]

    def value(name: str, dark: bool) -> str:
        said = getattr(THEME, f"{name}_dark", None) if dark else None
        said = said or getattr(THEME, name)
        return value(said[1:], dark) if said.startswith("*") else {"white": "#fff"}.get(said, said)

    for dark in (False, True):
        page.evaluate("(dark) => document.documentElement.classList.toggle('dark', dark)", dark)
        for name in names:
            got = page.evaluate(
                "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()",
                f"--{name.replace('_', '-')}",
            )
            assert got == value(name, dark), (name, dark)


def test_its_verdicts_are_those_of_the_other_page(page: Page, site: Path) -> None:
    (module,) = (f"/{path.relative_to(site)}" for path in site.glob("*/verdict.js"))
    random = np.random.default_rng(8)
    cases: list[tuple[list[float], dict, bool, dict | None]] = []
    for value in (0.0, 0.3, 0.5, 0.72, 1.0):
        threshold = {"value": value, "promised": None}
        for ood, cut in itertools.product((False, True), (None, 0.0, 0.2, 0.5)):
            sets = None if cut is None else {"cut": cut, "coverage": 0.95}
            cases += [(random.dirichlet([0.3] * 5).tolist(), threshold, ood, sets) for _ in range(10)]
            cases.append(([0.25, 0.25, 0.5, 0.0, 0.0], threshold, ood, sets))
            cases.append(([0.2] * 5, threshold, ood, sets))
            cases.append(([1.0, 0.0, 0.0, 0.0, 0.0], threshold, ood, sets))
    got = page.evaluate(
        """async ([module, cases]) => {
          const { judge, percent } = await import(module);
          return cases.map(([probs, threshold, ood, sets]) =>
            [judge(probs, threshold, ood, sets), probs.map(percent)]);
        }""",
        [module, cases],
    )
    for (probs, threshold, ood, sets), (verdict, shares) in zip(cases, got, strict=True):
        by_label = {str(number): share for number, share in enumerate(probs)}
        expected = judge(by_label, Threshold(**threshold), ood, sets and PredictionSets(**sets))
        assert verdict["kind"] == expected.kind
        assert [str(number) for number in verdict["dances"]] == list(expected.dances)
        assert [str(number) for number in verdict["set"]] == list(expected.prediction_set)
        assert verdict["probability"] == expected.probability
        assert shares == [percent(share) for share in probs]
    shares = [0.0, 0.00499, 0.005, 0.125, 0.135, 0.145, 0.375, 0.994999, 0.995, 1.0]
    got = page.evaluate("async ([module, shares]) => shares.map((await import(module)).percent)", [module, shares])
    assert got == [percent(share) for share in shares]


@pytest.mark.parametrize("language", ["en", "hi"])
def test_it_lists_what_a_picture_may_be_as_the_other_page_does(page: Page, site: Path, language: str) -> None:
    (module,) = (f"/{path.parent.relative_to(site)}" for path in site.glob("*/verdict.js"))
    names = [f"d{number}" for number in range(9)]
    dances = read_dances({"label_names": names})
    pair = Pair(("d0", "d1"), 7, 41)
    confusions = {"d0": Confusions(9, (("d2", 2),))}
    told = {
        "dances": [asdict(dance) for dance in dances.values()],
        "confusions": [{"pictures": 9, "others": [{"name": "D2", "count": 2}]}, *[None] * 8],
        "pair": {**asdict(pair), "dances": [0, 1]},
    }
    cases = [
        (probs + [0.0] * (9 - len(probs)), Threshold(threshold), sets)
        for probs in ([0.5, 0.3, 0.2], [0.3, 0.1, 0.6], [0.2, 0.16] + [0.1] * 4 + [0.08] * 3, [0.95, 0.05])
        for threshold in (0.4, 0.9)
        for sets in (None, PredictionSets(0.15, 0.95), PredictionSets(0.07, 0.95, 0.875, 289))
    ]
    got = page.evaluate(
        """async ([module, language, told, cases]) => {
          const { judge } = await import(`${module}/verdict.js`);
          const { answer } = await import(`${module}/showing.js`);
          const { readWords } = await import(`${module}/words.js`);
          const words = await readWords([language], language);
          return cases.map(([probs, threshold, sets]) => {
            const site = { ...told, threshold, sets };
            const shown = answer(words, site, judge(probs, threshold, false, sets), probs, null, null);
            return [".verdict", ".set", ".confused"].map((of) => shown.querySelector(of)?.textContent ?? "");
          });
        }""",
        [module, language, told, [(p, asdict(t), s and asdict(s)) for p, t, s in cases]],
    )
    said = set()
    for (probs, threshold, sets), texts in zip(cases, got, strict=True):
        by_label = dict(zip(names, probs, strict=True))
        verdict = judge(by_label, threshold, sets=sets)
        expected = Showing(dances, confusions, pair, sets).answer(LANGUAGES[language], verdict, by_label, None)
        for name, text in zip(("verdict", "set", "confused"), texts, strict=True):
            there = re.search(rf'<p class="{name}">(.*?)</p>', expected)
            assert text == (html.unescape(there[1]) if there else "")
        said.add(texts[1])
    assert len(said) > 5


@pytest.mark.parametrize("mode", ["squash", "center", "border"])
@pytest.mark.parametrize("size", [(640, 480), (300, 900), (50, 40)])
def test_its_heat_map_is_that_of_the_other_page(page: Page, site: Path, mode: str, size: tuple[int, int]) -> None:
    (module,) = (f"/{path.relative_to(site)}" for path in site.glob("*/heatmap.js"))
    heat = np.random.default_rng(8).random((5, 7), np.float32)
    crop = Crop(96, 96, 0.9, mode)
    spread = lay_over(heat, size, crop)
    with Image.open(io.BytesIO(colour(spread))) as image:
        expected = np.asarray(image.convert("RGBA")).astype(int)
    got = page.evaluate(
        """async ([module, values, crop, [width, height]]) => {
          const { layOver } = await import(module);
          const { image, cut } = layOver({ values, rows: 5, columns: 7 }, crop, width, height);
          return [image.width, image.height, Array.from(image.data), cut];
        }""",
        [module, heat.ravel().tolist(), vars(crop), size],
    )
    width, height, data, cut = got
    assert (height, width) == spread.shape
    assert cut == bool(np.isnan(spread).any())
    # A palette has 255 shades.
    assert np.abs(np.reshape(data, expected.shape) - expected).max() <= 3
    assert page.evaluate("async (module) => (await import(module)).scaleBar", module) == ", ".join(
        f"rgb({r}, {g}, {b})".replace(",", "") for r, g, b in _COLOURS
    )


def test_the_heat_map_is_the_models(page: Page, decided: Path) -> None:
    picture = decided / "examples" / "odissi.jpg"
    _give(page, picture)
    _answered(page)
    page.locator(".heat summary").click()
    shown = page.locator(".heat .over").evaluate(
        "over => Array.from(over.getContext('2d').getImageData(0, 0, over.width, over.height).data)"
    )
    model = load_model(str(decided))
    answered = Answering(model).answer(picture)
    assert answered.answer.heatmap is not None
    png = colour(lay_over(answered.answer.heatmap, answered.image.size, read_crop(model.config)))
    with Image.open(io.BytesIO(png)) as image:
        expected = np.asarray(image.convert("RGBA")).astype(int)
    assert np.abs(np.reshape(shown, expected.shape) - expected).mean() <= 4


def test_a_page_that_embeds_it_chooses_the_theme(browser: Browser, files: FilesServer) -> None:
    with _visitor(browser) as context:
        page = context.new_page()
        page.goto(f"{files.address}?__theme=dark")
        expect(page.locator("html")).to_have_class("dark")
