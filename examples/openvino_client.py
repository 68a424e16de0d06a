"""Labels images with a file of ONNX in OpenVINO: python openvino_client.py FILE.onnx FOLDER IMAGE…

It needs openvino, numpy and opencv-python-headless. FOLDER/IMAGE.png gets the class index of each pixel.
"""

import sys
from pathlib import Path

import cv2
from fitting import labels_of, prepared, read_image, read_sidecar, told

sys.modules["openvino_telemetry"] = None  # nothing is sent
import openvino  # noqa: E402

path, folder, *images = sys.argv[1:]
about = read_sidecar(path)
precision = {"INFERENCE_PRECISION_HINT": "f32"}  # else some CPUs compute in bfloat16, which changes labels
request = openvino.Core().compile_model(path, "CPU", precision).create_infer_request()
for name in images:
    image = read_image(name)
    request.start_async({about["input"]["name"]: prepared(image, about)})
    request.wait()  # a call of the model hides that memory is full, and gives the output of the image before
    output = request.get_tensor(about["output"]["name"]).data
    labels = labels_of(output, image.shape[:2], about)
    cv2.imwrite(str(Path(folder, f"{Path(name).stem}.png")), labels)
    print(name, told(labels, about))
