// Labels images with a file of ONNX in OpenVINO: openvino_client FILE.onnx FOLDER IMAGE.ppm…
//
// FOLDER/IMAGE.pgm gets the class index of each pixel. The Python package `openvino` has the headers and the libraries:
//
//     OPENVINO=$(python -c "import openvino; print(openvino.__path__[0])")
//     g++ -std=c++17 -O2 -I$OPENVINO/include openvino_client.cpp $OPENVINO/libs/libopenvino.so.* -Wl,-rpath,$OPENVINO/libs

#include <iostream>

#include <openvino/openvino.hpp>

#include "fitting.hpp"

int main(int count, char **words) try {
    if (count < 4) throw std::runtime_error("openvino_client FILE.onnx FOLDER IMAGE.ppm…");
    std::string path = words[1], folder = words[2];
    Json about = read_sidecar(path);
    ov::Core core;
    // else some CPUs compute in bfloat16, which changes labels
    ov::CompiledModel model = core.compile_model(path, "CPU", ov::hint::inference_precision(ov::element::f32));
    ov::InferRequest request = model.create_infer_request();
    for (int index = 3; index < count; ++index) {
        Image<uint8_t> image = read_ppm(words[index]);
        Input x = prepared(image, about);
        ov::Shape places(x.shape.begin(), x.shape.end());
        request.set_tensor(about["input"]["name"].text, x.is_bytes ? ov::Tensor(ov::element::u8, places, x.bytes.data())
                                                                   : ov::Tensor(ov::element::f32, places, x.floats.data()));
        request.start_async();
        request.wait();
        ov::Tensor y = request.get_tensor(about["output"]["name"].text);
        ov::Shape sides = y.get_shape();
        std::vector<int64_t> shape(sides.begin(), sides.end());
        Size size{image.height, image.width};
        Image<uint8_t> labels = about["labels"]["arg_max"].number ? labels_of(y.data<float>(), shape, size, about)
                                                                  : labels_of(y.data<uint8_t>(), shape, size, about);
        write_pgm(place_of(folder, words[index]), labels);
    }
} catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
}
