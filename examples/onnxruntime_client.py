"""Labels images with a file of ONNX: python onnxruntime_client.py FILE.onnx FOLDER IMAGE…

It needs onnxruntime, numpy and opencv-python-headless. FOLDER/IMAGE.png gets the class index of each pixel.
"""

import sys
from pathlib import Path

import cv2
import onnxruntime
from fitting import labels_of, prepared, read_image, read_sidecar, told

path, folder, *images = sys.argv[1:]
about = read_sidecar(path)
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
for name in images:
    image = read_image(name)
    (output,) = session.run([about["output"]["name"]], {about["input"]["name"]: prepared(image, about)})
    labels = labels_of(output, image.shape[:2], about)
    cv2.imwrite(str(Path(folder, f"{Path(name).stem}.png")), labels)
    print(name, told(labels, about))
