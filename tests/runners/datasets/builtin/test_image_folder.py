"""A user's own images: any size and mode become RGB squares, and every mistake in the folder is named."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from runners.datasets import DatasetError, load_dataset

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "image-folder"


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (20, 20), RED)).save(path, **options)
    return path


def fill(root, classes=("cat", "dog"), per_class=2):
    for place, name in enumerate(classes):
        for number in range(per_class):
            save(root / name / f"{number}.png", Image.new("RGB", (20, 20), (60 * place, 9 * number, 200)))
    return root


def stripes(width, height, across=True):
    """Red, green and blue bands of equal breadth, side by side or one above the other."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for band, colour in enumerate((RED, GREEN, BLUE)):
        if across:
            pixels[:, band * width // 3 : (band + 1) * width // 3] = colour
        else:
            pixels[band * height // 3 : (band + 1) * height // 3] = colour
    return Image.fromarray(pixels)


def decode_one(root, path, resolution=8):
    """The image at root/a/x.* as the loader sees it, beside a class of no interest."""
    save(root / "b" / "other.png")
    data = load_dataset("image-folder", root, resolution=resolution)
    assert data.class_names == ("a", "b")
    return data.train_images[data.train_labels.tolist().index(0)].astype(int)


def refused(root, *words, resolution=None):
    with pytest.raises(DatasetError) as error:
        load_dataset("image-folder", root, resolution=resolution)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


def test_a_flat_folder(tmp_path, cache):
    root = fill(tmp_path / "pets", ("dog", "cat", "emu"), per_class=3)
    (root / ".hidden").mkdir()
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "notes.txt").write_text("x")
    (root / "readme.md").write_text("x")
    data = load_dataset("image-folder", root)
    assert data.class_names == ("cat", "dog", "emu")
    assert data.train_images.shape == (9, 32, 32, 3)
    found = zip(data.train_labels.tolist(), data.train_images[:, 5, 5].tolist(), strict=True)
    colours = {"cat": 60, "dog": 0, "emu": 120}
    assert sorted(found) == [
        (label, [colours[name], 9 * number, 200]) for label, name in enumerate(data.class_names) for number in range(3)
    ]
    assert data.test_images is None and data.val_images is None
    assert load_dataset("image-folder", root, resolution=48).resolution == 48


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_splits(tmp_path, val):
    fill(tmp_path / "pets" / "train", per_class=3)
    fill(tmp_path / "pets" / val, per_class=1)
    fill(tmp_path / "pets" / "test", per_class=2)
    (tmp_path / "pets" / "annotations").mkdir()
    data = load_dataset("image-folder", tmp_path / "pets", resolution=16)
    assert sorted(data.train_labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert sorted(data.val_labels.tolist()) == [0, 1]
    assert sorted(data.test_labels.tolist()) == [0, 0, 1, 1]
    assert data.val_images.shape == (2, 16, 16, 3)


def test_the_first_images_are_of_all_classes(tmp_path):
    """Quantization takes its ranges from the first images, and they are subsets in that order."""
    data = load_dataset("image-folder", fill(tmp_path / "pets", ("a", "b", "c"), per_class=40))
    assert min(np.bincount(data.train_labels[:30], minlength=3)) >= 3


def test_train_may_be_a_class(tmp_path):
    root = fill(tmp_path / "vehicles", ("bus", "train"))
    assert load_dataset("image-folder", root).class_names == ("bus", "train")


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    save(tmp_path / "wide" / "a" / "x.png", stripes(90, 30))
    wide = decode_one(tmp_path / "wide", None)
    assert (wide == GREEN).all(axis=2)[:, 1:-1].all()
    save(tmp_path / "tall" / "a" / "x.png", stripes(31, 94, across=False))
    tall = decode_one(tmp_path / "tall", None)
    assert (tall == GREEN).all(axis=2)[1:-1].all()
    save(tmp_path / "line" / "a" / "x.png", Image.new("RGB", (3000, 1), BLUE))
    assert (decode_one(tmp_path / "line", None) == BLUE).all()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_shrinking_is_antialiased(tmp_path, suffix):
    rows, columns = np.indices((512, 512))
    fine = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)
    save(tmp_path / "a" / f"x.{suffix}", Image.fromarray(fine))
    assert np.abs(decode_one(tmp_path, None) - 127).max() <= 4


@pytest.mark.parametrize("side", [50, 70, 400])
def test_a_jpeg_keeps_the_detail_that_a_png_keeps(tmp_path, side):
    for suffix, options in (("png", {}), ("jpg", {"quality": 98, "subsampling": 0})):
        rings = 127 + 120 * np.sin(np.hypot(*np.indices((side, side))) * 40 / side)
        save(tmp_path / suffix / "a" / f"x.{suffix}", Image.fromarray(rings.astype(np.uint8)), **options)
    png, jpeg = (decode_one(tmp_path / suffix, None, resolution=32) for suffix in ("png", "jpg"))
    assert png.std() > 60
    assert np.abs(png - jpeg).mean() < 2


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to show
    turned = stripes(60, 60).rotate(90)
    save(tmp_path / "a" / "x.jpg", turned, exif=exif, quality=95, subsampling=0)
    seen = decode_one(tmp_path, None, resolution=9)
    for column, colour in ((1, RED), (4, GREEN), (7, BLUE)):
        assert np.abs(seen[4, column] - colour).max() < 20


def grey(tmp_path):
    return save(tmp_path / "a" / "x.png", Image.new("L", (20, 30), 77)), (77, 77, 77)


def grey_16_bit(tmp_path):
    levels = np.full((20, 20), 77 * 257, np.uint16)
    return save(tmp_path / "a" / "x.png", Image.fromarray(levels)), (77, 77, 77)


def one_bit(tmp_path):
    return save(tmp_path / "a" / "x.png", Image.new("1", (20, 20), 1)), WHITE


def palette(tmp_path):
    return save(tmp_path / "a" / "x.gif", Image.new("RGB", (20, 20), GREEN).convert("P")), GREEN


def palette_with_transparent_colour(tmp_path):
    image = Image.new("P", (20, 20), 3)
    image.putpalette([10, 20, 30] * 8)
    return save(tmp_path / "a" / "x.png", image, transparency=bytes([255, 255, 255, 0])), WHITE


def clear_rgba(tmp_path):
    return save(tmp_path / "a" / "x.png", Image.new("RGBA", (20, 20), (255, 0, 0, 0))), WHITE


def half_clear_rgba(tmp_path):
    return save(tmp_path / "a" / "x.webp", Image.new("RGBA", (20, 20), (0, 0, 0, 128)), lossless=True), (127,) * 3


def grey_with_alpha(tmp_path):
    return save(tmp_path / "a" / "x.png", Image.new("LA", (20, 20), (50, 255))), (50, 50, 50)


def cmyk(tmp_path):
    return save(tmp_path / "a" / "x.tif", Image.new("CMYK", (20, 20), (0, 255, 255, 0))), RED


def upper_case_suffix(tmp_path):
    return save(tmp_path / "a" / "X.BMP", Image.new("RGB", (7, 5), BLUE)), BLUE


@pytest.mark.parametrize(
    "make",
    [
        grey,
        grey_16_bit,
        one_bit,
        palette,
        palette_with_transparent_colour,
        clear_rgba,
        half_clear_rgba,
        grey_with_alpha,
        cmyk,
        upper_case_suffix,
    ],
)
def test_every_mode_becomes_rgb(tmp_path, make):
    path, colour = make(tmp_path)
    assert np.abs(decode_one(tmp_path, path) - colour).max() <= 1


def test_decoding_happens_once_until_a_file_changes(tmp_path, cache, monkeypatch):
    root = fill(tmp_path / "pets")
    first = load_dataset("image-folder", root).fingerprint
    (entry,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("runners.datasets.builtin.image_folder.decode_squares", lambda *_: pytest.fail("decoded again"))
        assert load_dataset("image-folder", root).fingerprint == first
    save(root / "cat" / "new.png")
    changed = load_dataset("image-folder", root)
    assert len(changed.train_images) == 5 and changed.fingerprint != first
    os.utime(root / "cat" / "new.png", ns=(1, 1))
    load_dataset("image-folder", root)
    shutil.move(root / "cat", root / "puma")
    assert load_dataset("image-folder", root).class_names == ("dog", "puma")
    (last,) = cache.iterdir()
    assert last != entry


def test_resolutions_are_cached_side_by_side(tmp_path, cache):
    root = fill(tmp_path / "pets")
    for resolution in (16, 32, 16):
        assert load_dataset("image-folder", root, resolution=resolution).resolution == resolution
    assert len(list(cache.iterdir())) == 2


def test_broken_images_are_named_and_nothing_is_cached(tmp_path, cache):
    root = fill(tmp_path / "pets")
    whole = (root / "cat" / "0.png").read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        (root / "dog" / "1.png").write_bytes(content)
        refused(root, root / "dog" / "1.png", "cannot be decoded", "replace or remove it")
    assert not cache.exists()


def test_a_dangling_link_is_named(tmp_path):
    root = fill(tmp_path / "pets")
    (root / "dog" / "link.png").symlink_to(tmp_path / "nowhere")
    refused(root, "link.png", "cannot be read")


def test_wrong_folders(tmp_path):
    refused(None, "needs the folder", "--data-dir")
    refused(tmp_path / "absent", "absent", "no such folder")
    refused(save(tmp_path / "x.png"), "x.png", "is a file")
    refused(tmp_path, "0 class folders", "at least 2")
    refused(fill(tmp_path / "one", ("cat",)), "1 class folder;", "at least 2")
    root = fill(tmp_path / "pets")
    (root / "emu").mkdir()
    refused(root, root / "emu", "class 'emu' has no images")


def test_folders_inside_classes_do_not_pass_for_classes(tmp_path):
    fill(tmp_path / "pets" / "training")
    fill(tmp_path / "pets" / "testing")
    refused(tmp_path / "pets", "is a folder inside a class folder", "train, val and test")


def test_splits_without_classes(tmp_path):
    save(tmp_path / "pets" / "train" / "x.png")
    save(tmp_path / "pets" / "test" / "x.png")
    refused(tmp_path / "pets", "train: has 0 class folders")


def test_splits_must_agree(tmp_path):
    root = tmp_path / "pets"
    fill(root / "train", ("cat", "dog"))
    fill(root / "test", ("cat", "dog", "emu"))
    refused(root, root / "train", "no class folder 'emu'")
    fill(root / "train", ("emu", "fox"))
    refused(root, root / "test", "no class folder 'fox'")
    fill(root / "test", ("fox",))
    (root / "val").mkdir()
    refused(root, "val: has 0 class folders")
    shutil.copytree(root / "test", root / "valid")
    refused(root, "both val/ and valid/")


def test_a_split_of_another_name_is_not_overlooked(tmp_path):
    """Images that were to be held out would be neither trained on nor held out; other folders are ignored."""
    fill(tmp_path / "train")
    fill(tmp_path / "notes", classes=("old", "new"))
    assert load_dataset("image-folder", tmp_path).val_images is None
    fill(tmp_path / "vla")
    refused(tmp_path, "vla", "call it val/ or test/, or move it away")
    (tmp_path / "vla").rename(tmp_path / "val")
    assert len(load_dataset("image-folder", tmp_path).val_images) == 4


@pytest.mark.parametrize("resolution", [0, 7, 513, -32])
def test_resolution_out_of_range(tmp_path, resolution):
    refused(fill(tmp_path / "pets"), str(resolution), "8 to 512 pixels", resolution=resolution)
