"""An image file becomes the same pixels for training and for the `predict.py` that is written beside a model."""

import io
import os
import runpy
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from runners.datasets import Dataset, DatasetError, load_dataset
from runners.training.batches import DeviceImages, to_device
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.spec import ArchSpec, StageSpec
from studies.export.predict import metadata, predict_program

from .conftest import Saw

Saver = Callable[[Path], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))


# --- files ----------------------------------------------------------------------------------------


def picture(height: int = 90, width: int = 160) -> NDArray[np.uint8]:
    """Smooth colours with a bright corner, so that squashing, turning and cutting show."""
    rows, columns = np.indices((height, width)) / max(height, width)
    levels = np.stack([200 * rows, 220 * columns, 120 + 100 * np.sin(9 * rows * columns)], axis=2)
    levels[: height // 4, : width // 4] = (250, 240, 10)
    return levels.round().astype(np.uint8)


def grey() -> NDArray[np.uint8]:
    return picture()[..., 1]


def with_alpha() -> Image.Image:
    alpha = np.linspace(0, 255, 160).round().astype(np.uint8)[None].repeat(90, axis=0)
    return Image.fromarray(np.dstack([picture(), alpha]))


def turned(tag: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


def png_of_16_bits(path: Path, levels: NDArray[Any]) -> None:
    """A PNG with 16 bits a colour, which Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def save(make: Callable[[], Image.Image], **options: Any) -> Saver:
    return lambda path: make().save(path, **options)


def animation(path: Path) -> None:
    frames = [Image.fromarray(picture()).convert("P"), Image.new("P", (160, 90), 5)]
    frames[0].save(path, save_all=True, append_images=frames[1:], transparency=3)


KINDS: dict[str, Saver] = {
    "jpeg, wide.jpg": save(lambda: Image.fromarray(picture(900, 1600)), quality=95),
    "jpeg with EXIF orientation.jpg": save(lambda: Image.fromarray(picture()), exif=turned(6), quality=95),
    "jpeg, CMYK.jpg": save(lambda: Image.fromarray(picture()).convert("CMYK"), quality=95),
    "png, RGB with transparency.png": save(lambda: Image.fromarray(picture()), transparency=(250, 240, 10)),
    "png, RGBA.png": save(with_alpha),
    "png, grey with alpha.png": save(lambda: with_alpha().convert("LA")),
    "png, palette with transparency.png": save(lambda: Image.fromarray(picture()).quantize(64), transparency=7),
    "png, one bit.png": save(lambda: Image.fromarray(grey()).convert("1")),
    "png, 16 bits.png": save(lambda: Image.fromarray(grey().astype(np.uint16) * 257)),
    "png, 16 bits a colour.png": lambda path: png_of_16_bits(path, picture().astype(int) * 257),
    "pgm, grey.pgm": save(lambda: Image.fromarray(grey())),
    "gif, animated and transparent.gif": animation,
    "tiff, 16 bits.tif": save(lambda: Image.fromarray(grey().astype(np.uint16) * 257)),
    "tiff, turned.tif": save(lambda: Image.fromarray(picture()), exif=turned(8)),
    "webp, RGBA.webp": save(with_alpha, lossless=True),
    "bmp, tall.bmp": save(lambda: Image.fromarray(picture(200, 70))),
}


# --- training against predict.py ------------------------------------------------------------------

SIZE, RESOLUTION = 24, 16


def folder_of(root: Path, save: Saver, name: str) -> Path:
    """The file at root/a/NAME; beside it a class of no interest."""
    (root / "a").mkdir(parents=True)
    save(root / "a" / name)
    (root / "b").mkdir()
    Image.fromarray(picture(30, 30)).save(root / "b" / "other.png")
    return root / "a" / name


def trained_on(data: Dataset, resolution: int) -> DeviceImages:
    return to_device(
        data.train_images,
        data.train_labels,
        mean=data.mean,
        std=data.std,
        resolution=resolution,
        device=torch.device("cpu"),
    )


def pixels_of_first(images: DeviceImages) -> NDArray[np.uint8]:
    return np.asarray(images.images[images.labels.tolist().index(0)].permute(1, 2, 0))


def network(resolution: int, in_channels: int = 3, classes: int = 2) -> ArchSpec:
    stages = [StageSpec(block="basic", num_blocks=1, width=8, stride=1 + (i > 0), bits=32) for i in range(3)]
    return ArchSpec(
        stem="3x3",
        stem_width=8,
        stages=tuple(stages),
        resolution=resolution,
        in_channels=in_channels,
        num_classes=classes,
    )


def taken_home(folder: Path, spec: ArchSpec, data: Dataset) -> tuple[Path, onnxruntime.InferenceSession]:
    """`predict.py` beside an untrained model of the data set."""
    graph = spec.build_graph()
    model = build_onnx(graph, random_values(graph), int8=False, metadata=metadata(spec, data)).SerializeToString()
    folder.mkdir(exist_ok=True)
    script = folder / "predict.py"
    script.write_text(predict_program("model.onnx"))
    (folder / "model.onnx").write_bytes(model)
    return script, onnxruntime.InferenceSession(model)


def pixels_seen(script: Path, file: Path) -> NDArray[np.uint8]:
    """What the program gives to the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), str(file)])
        found: NDArray[np.uint8] = runpy.run_path(str(script))["pixels"]
    return found


@pytest.mark.fault("predict.py on {kind}", expected="the pixels of training, to the last bit")
@pytest.mark.parametrize("kind", KINDS)
def test_predict_sees_the_pixels_of_training(tmp_path: Path, saw: Saw, kind: str) -> None:
    file = folder_of(tmp_path / "images", KINDS[kind], f"x{Path(kind).suffix}")
    data = load_dataset("image-folder", tmp_path / "images", resolution=SIZE)
    script, _ = taken_home(tmp_path / "home", network(RESOLUTION), data)
    seen = pixels_seen(script, file)
    expected = pixels_of_first(trained_on(data, RESOLUTION))
    saw(f"{(seen != expected).sum()} of {seen.size} values differ")
    assert expected.std() > 15, "the picture shows something"
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.fault("predict.py's output goes to {where}", expected="no traceback; a full disk is said in one line")
@pytest.mark.parametrize(("where", "code", "words"), [("a reader that has gone", 1, ""), ("/dev/full", 1, "No space")])
def test_predict_where_nothing_can_be_written(tmp_path: Path, saw: Saw, where: str, code: int, words: str) -> None:
    file = folder_of(tmp_path / "images", KINDS["jpeg, wide.jpg"], "x.jpg")
    script, _ = taken_home(tmp_path / "home", network(RESOLUTION), load_dataset("image-folder", tmp_path / "images"))
    if where == "/dev/full":
        stdout = os.open(where, os.O_WRONLY)
    else:
        reader, stdout = os.pipe()
        os.close(reader)
    done = subprocess.run([sys.executable, script, file], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    os.close(stdout)
    saw(f"exit {done.returncode}: {done.stderr}")
    assert done.returncode == code and words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)


def answer(script: Path, file: Path) -> dict[str, float]:
    """Class -> per cent, as the program prints them where this project is not importable."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-I", str(script), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment, cwd="/")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: float(share.rstrip("%")) for share, name in lines}


@pytest.mark.fault("predict.py far from the project on {kind}", expected="the answer of the model on training's pixels")
@pytest.mark.parametrize("kind", ["jpeg, wide.jpg", "jpeg with EXIF orientation.jpg", "png, 16 bits.png"])
def test_predict_alone_answers_as_the_model_on_training_pixels(tmp_path: Path, saw: Saw, kind: str) -> None:
    file = folder_of(tmp_path / "images", KINDS[kind], f"x{Path(kind).suffix}")
    data = load_dataset("image-folder", tmp_path / "images", resolution=SIZE)
    script, session = taken_home(tmp_path / "home", network(RESOLUTION), data)
    images = trained_on(data, RESOLUTION)
    first = images.labels.tolist().index(0)
    x = np.ascontiguousarray(images.normalised(slice(first, first + 1)).numpy())
    logits = session.run(None, {"images": x})[0][0].astype(float)
    shares = 100 * np.exp(logits) / np.exp(logits).sum()
    found = answer(script, file)
    saw(found)
    assert [found["a"], found["b"]] == pytest.approx(list(shares), abs=0.006)


@pytest.mark.fault("a grey network, and its resolution {resolution} of 28", expected="the pixels of training")
@pytest.mark.parametrize("resolution", [14, 20, 28, 40])
def test_grey_data_sets_round_trip_through_files(tmp_path: Path, saw: Saw, resolution: int) -> None:
    data = load_dataset("fashion-mini")
    Image.fromarray(data.train_images[0, ..., 0]).save(tmp_path / "x.png")
    script, _ = taken_home(tmp_path / "home", network(resolution, 1, 10), data)
    seen = pixels_seen(script, tmp_path / "x.png")
    expected = trained_on(data, resolution).images[0].permute(1, 2, 0).numpy()
    saw(f"{(seen != expected).sum()} of {seen.size} values differ")
    np.testing.assert_array_equal(seen, expected)


# --- more than 8 bits -----------------------------------------------------------------------------


def fill(root: Path, save: Callable[[Path, NDArray[np.uint16]], None], bits: int, suffix: str) -> Path:
    """Two classes of two greys that use the lower `bits` of 16."""
    for label, factor in (("dark", 0.5), ("light", 1.0)):
        for number in range(2):
            (root / label).mkdir(parents=True, exist_ok=True)
            levels = np.linspace(0, factor * (2**bits - 1), 30 * 30).reshape(30, 30)[:: 1 - 2 * number]
            save(root / label / f"{number}{suffix}", levels.round().astype(np.uint16))
    return root


def save_levels(path: Path, levels: NDArray[np.uint16]) -> None:
    Image.fromarray(levels).save(path)


@pytest.mark.fault("{bits}-bit greys in 16-bit {suffix} files", expected="train from black to white")
@pytest.mark.parametrize(("bits", "suffix"), [(10, ".png"), (12, ".png"), (12, ".tif"), (14, ".png"), (16, ".png")])
def test_greys_fill_the_range_whatever_their_bits(tmp_path: Path, saw: Saw, bits: int, suffix: str) -> None:
    root = fill(tmp_path / "images", save_levels, bits, suffix)
    data = load_dataset("image-folder", root, resolution=30)
    dark, light = (data.train_images[data.train_labels == label].max() for label in (0, 1))
    saw(f"brightest pixels {dark} and {light}, {data.grey_bits} bits")
    assert (dark, light) == (128, 255)
    script, _ = taken_home(tmp_path / "home", network(30), data)
    seen = pixels_seen(script, root / "light" / f"0{suffix}")
    assert any((seen == image).all() for image in data.train_images), "predict.py takes the data set's bits"


@pytest.mark.fault("one grey picture in 8 and in 16 bits", expected="the same pixels for a network of 8-bit images")
def test_a_picture_has_the_same_pixels_in_8_and_in_16_bits(tmp_path: Path, saw: Saw) -> None:
    folder_of(tmp_path / "images", KINDS["jpeg, wide.jpg"], "x.jpg")
    data = load_dataset("image-folder", tmp_path / "images", resolution=SIZE)
    script, _ = taken_home(tmp_path / "home", network(RESOLUTION), data)
    seen = []
    for number, levels in enumerate([grey(), grey().astype(np.uint16) * 257]):
        Image.fromarray(levels).save(tmp_path / f"{number}.png")
        seen.append(pixels_seen(script, tmp_path / f"{number}.png"))
    saw(f"largest difference {np.abs(seen[0].astype(int) - seen[1]).max()}")
    np.testing.assert_array_equal(*seen)


@pytest.mark.fault("12-bit colours in 16-bit PNG files", expected="refused, with the factor that mends them")
def test_colours_that_leave_their_upper_bits_unused_are_refused(tmp_path: Path, saw: Saw) -> None:
    root = fill(tmp_path / "images", lambda path, levels: png_of_16_bits(path, np.dstack([levels] * 3)), 12, ".png")
    with pytest.raises(DatasetError, match=r"16 bits a colour.* lower 12; .*multiply the levels by 16$") as error:
        load_dataset("image-folder", root, resolution=30)
    saw(error.value)


def white_is_zero(path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(grey().astype(np.uint16)).save(content, format="TIFF")
    entry = struct.pack("<HHI", 262, 3, 1)
    assert content.getvalue().count(entry) == 1
    path.write_bytes(content.getvalue().replace(entry + struct.pack("<H", 1), entry + struct.pack("<H", 0)))


@pytest.mark.fault("pixels without a known range: {what}", expected="refused by training and predict.py alike")
@pytest.mark.parametrize(
    ("what", "make", "words"),
    [
        ("floats", save(lambda: Image.fromarray(grey().astype(np.float32))), "floating-point"),
        ("negative", save(lambda: Image.fromarray(grey().astype(np.int32) - 100)), "below 0"),
        ("white is 0", white_is_zero, "white is level 0"),
    ],
)
def test_pixels_without_a_known_range(tmp_path: Path, saw: Saw, what: str, make: Saver, words: str) -> None:
    file = folder_of(tmp_path / "images", make, "x.tif")
    with pytest.raises(DatasetError, match=words) as error:
        load_dataset("image-folder", tmp_path / "images")
    saw(error.value)
    script, _ = taken_home(tmp_path / "home", network(28, 1, 10), load_dataset("fashion-mini"))
    with pytest.raises(SystemExit, match=words):
        pixels_seen(script, file)
