"""Classify an image: python predict.py photo.jpg [model.onnx]. Needs onnxruntime, numpy and pillow."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

model = sys.argv[2] if len(sys.argv) > 2 else Path(__file__).with_name("model.onnx")
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")  # else int8 saturates on x86 without VNNI
session = onnxruntime.InferenceSession(str(model), options)
meta = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
try:
    image = Image.open(sys.argv[1]).convert("RGB" if session.get_inputs()[0].shape[1] == 3 else "L")
except (IndexError, OSError) as error:
    sys.exit("usage: " + __doc__ if isinstance(error, IndexError) else f"error: {error}")
pixels = np.asarray(image.resize([meta["resolution"]] * 2, Image.Resampling.BILINEAR), np.float32)
x = (pixels.reshape(*pixels.shape[:2], -1) / 255 - meta["mean"]) / meta["std"]
logits = session.run(None, {"images": x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
shares = np.exp(logits - logits.max())
for index in shares.argsort()[::-1][:5]:
    print(f"{shares[index] / shares.sum():7.2%}  {meta['class_names'][index]}")
