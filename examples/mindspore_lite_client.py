"""Labels images in MindSpore Lite: python mindspore_lite_client.py CONVERTED.mindir FILE FOLDER IMAGE…

FILE is what `export` wrote, a file of one size (.mindir or .onnx), beside FILE.json; CONVERTED.mindir is what the line
`converter_lite` in FILE.json makes of it. FOLDER/IMAGE.png gets the class index of each pixel. It needs mindspore_lite, numpy and
opencv-python-headless. It was not run with MindSpore Lite, which was not installed where the others were run.
"""

import sys
from pathlib import Path

import cv2
import mindspore_lite
from fitting import labels_of, prepared, read_image, read_sidecar, told

converted, path, folder, *images = sys.argv[1:]
about = read_sidecar(path)
context = mindspore_lite.Context()
context.target = ["ascend"]
context.ascend.precision_mode = "enforce_origin"  # else it computes in half precision, which changes labels
model = mindspore_lite.Model()
model.build_from_file(converted, mindspore_lite.ModelType.MINDIR, context)
(inputs,) = model.get_inputs()
for name in images:
    image = read_image(name)
    inputs.set_data_from_numpy(prepared(image, about))
    output = model.predict([inputs])[0].get_data_to_numpy()
    labels = labels_of(output, image.shape[:2], about)
    cv2.imwrite(str(Path(folder, f"{Path(name).stem}.png")), labels)
    print(name, told(labels, about))
