"""Run the model on images: python predict.py photo.jpg [more.jpg ...] [--model FILE]. Needs onnxruntime and pillow."""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

from runners.datasets.pixels import read_square, resize_square


def say(line: str) -> None:
    """Print a line at once; a stdout that takes none, as of `predict.py photo.jpg | head -1`, ends the program."""
    try:
        print(line, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        sys.exit(1 if isinstance(error, BrokenPipeError) else f"error: stdout: {error.strerror}")


parser = argparse.ArgumentParser(
    description="Prints the five likeliest classes of each image, or the outputs of a network without classes."
)
parser.add_argument("photos", nargs="+", metavar="photo.jpg", help="an image file")
parser.add_argument("--model", metavar="FILE", type=Path, default=Path(__file__).with_name("model.onnx"))
arguments = parser.parse_args()
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")  # else int8 saturates on x86 without VNNI
try:
    session = onnxruntime.InferenceSession(str(arguments.model), options)
    meta = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
except Exception as error:  # The runtime has many errors of its own.
    sys.exit(f"error: {arguments.model}: is no model that can be run here ({str(error).splitlines()[0]})")
failed = []
for photo in arguments.photos:
    try:
        pixels: NDArray[np.uint8] = read_square(photo, meta["image_size"], meta["grey_bits"])
    except Exception as error:  # Decoders raise whatever a damaged file leads them to.
        failed.append(f"error: {photo}: {error}")
        continue
    if session.get_inputs()[0].shape[1] == 1:
        pixels = np.asarray(ImageOps.grayscale(Image.fromarray(pixels)))[:, :, None]
    pixels = resize_square(pixels, meta["resolution"])
    # As in training: the mean is a whole grey level.
    x = (pixels.astype(np.float32) - np.float32(round(255 * meta["mean"]))) / np.float32(255 * meta["std"])
    logits = session.run(None, {"images": np.ascontiguousarray(x.transpose(2, 0, 1)[None])})[0][0]
    if len(arguments.photos) > 1:
        say(photo)
    if not meta["class_names"]:
        say("  ".join(f"{output:.6g}" for output in logits))
        continue
    shares = np.exp(logits - logits.max())
    for index in shares.argsort()[::-1][:5]:
        say(f"{shares[index] / shares.sum():7.2%}  {meta['class_names'][index]}")
if failed:
    sys.exit("\n".join(failed))
