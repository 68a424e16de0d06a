// Labels images with a file of ONNX: onnxruntime_client FILE.onnx FOLDER IMAGE.ppm…
//
// FOLDER/IMAGE.pgm gets the class index of each pixel. The headers and the library are in the archives of ONNX Runtime's releases
// and in its NuGet package (build/native/include), not in the Python package:
//
//     g++ -std=c++17 -O2 -I$ONNXRUNTIME/include onnxruntime_client.cpp -L$ONNXRUNTIME/lib -lonnxruntime -o onnxruntime_client

#include <iostream>

#include <onnxruntime_cxx_api.h>

#include "fitting.hpp"

int main(int count, char **words) try {
    if (count < 4) throw std::runtime_error("onnxruntime_client FILE.onnx FOLDER IMAGE.ppm…");
    std::string path = words[1], folder = words[2];
    Json about = read_sidecar(path);
    std::string takes = about["input"]["name"].text, gives = about["output"]["name"].text;
    const char *inputs[] = {takes.c_str()}, *outputs[] = {gives.c_str()};
    Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "segformer");
    Ort::Session session(environment, path.c_str(), Ort::SessionOptions());
    Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    for (int index = 3; index < count; ++index) {
        Image<uint8_t> image = read_ppm(words[index]);
        Input x = prepared(image, about);
        const int64_t *sides = x.shape.data();
        size_t axes = x.shape.size();
        Ort::Value tensor = x.is_bytes
                                ? Ort::Value::CreateTensor<uint8_t>(memory, x.bytes.data(), x.bytes.size(), sides, axes)
                                : Ort::Value::CreateTensor<float>(memory, x.floats.data(), x.floats.size(), sides, axes);
        auto y = session.Run(Ort::RunOptions(), inputs, &tensor, 1, outputs, 1);
        std::vector<int64_t> shape = y.at(0).GetTensorTypeAndShapeInfo().GetShape();
        Size size{image.height, image.width};
        Image<uint8_t> labels = about["labels"]["arg_max"].number ? labels_of(y[0].GetTensorData<float>(), shape, size, about)
                                                                  : labels_of(y[0].GetTensorData<uint8_t>(), shape, size, about);
        write_pgm(place_of(folder, words[index]), labels);
    }
} catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
}
