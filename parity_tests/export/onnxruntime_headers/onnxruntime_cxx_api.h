// Stands in for ONNX Runtime's header, which the Python package does not have: as much of its C++ API as examples/ uses, with the
// same names, over the library of the Python package. The places of the functions in the table are part of its stable binary
// interface. Where the real headers are (ONNXRUNTIME_INCLUDE), the test takes them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct OrtApiBase {
    const void *const *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)();
};
extern "C" const OrtApiBase *OrtGetApiBase();

enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };

namespace Ort {

enum Place {
    GetErrorMessage = 2,
    CreateEnv = 3,
    CreateSession = 7,
    RunSession = 9,
    CreateSessionOptions = 10,
    CreateRunOptions = 39,
    CreateTensorWithDataAsOrtValue = 49,
    GetTensorMutableData = 51,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorTypeAndShape = 65,
    CreateCpuMemoryInfo = 69,
};

template <typename... Arguments> void call(Place place, Arguments... arguments) {
    const void *const *table = OrtGetApiBase()->GetApi(1);
    auto run = reinterpret_cast<void *(*)(Arguments...)>(const_cast<void *>(table[place]));
    auto message = reinterpret_cast<const char *(*)(void *)>(const_cast<void *>(table[GetErrorMessage]));
    if (void *status = run(arguments...)) throw std::runtime_error(message(status));
}

struct Handle {
    void *own = nullptr; // never freed: the process ends soon
};

struct Env : Handle {
    Env(OrtLoggingLevel level, const char *name) { call(CreateEnv, level, name, &own); }
};

struct SessionOptions : Handle {
    SessionOptions() { call(CreateSessionOptions, &own); }
};

struct RunOptions : Handle {
    RunOptions() { call(CreateRunOptions, &own); }
};

struct MemoryInfo : Handle {
    static MemoryInfo CreateCpu(OrtAllocatorType allocator, OrtMemType kind) {
        MemoryInfo info;
        call(CreateCpuMemoryInfo, allocator, kind, &info.own);
        return info;
    }
};

struct TensorTypeAndShapeInfo : Handle {
    std::vector<int64_t> GetShape() const {
        size_t count = 0;
        call(GetDimensionsCount, static_cast<const void *>(own), &count);
        std::vector<int64_t> shape(count);
        call(GetDimensions, static_cast<const void *>(own), shape.data(), count);
        return shape;
    }
};

template <typename T> constexpr int kind_of();
template <> constexpr int kind_of<float>() { return 1; }
template <> constexpr int kind_of<uint8_t>() { return 2; }

struct Value : Handle {
    template <typename T>
    static Value CreateTensor(const MemoryInfo &memory, T *data, size_t count, const int64_t *shape, size_t axes) {
        Value value;
        call(CreateTensorWithDataAsOrtValue, static_cast<const void *>(memory.own), static_cast<void *>(data), count * sizeof(T),
             shape, axes, kind_of<T>(), &value.own);
        return value;
    }
    TensorTypeAndShapeInfo GetTensorTypeAndShapeInfo() const {
        TensorTypeAndShapeInfo info;
        call(GetTensorTypeAndShape, static_cast<const void *>(own), &info.own);
        return info;
    }
    template <typename T> const T *GetTensorData() const {
        void *data = nullptr;
        call(GetTensorMutableData, own, &data);
        return static_cast<const T *>(data);
    }
};

struct Session : Handle {
    Session(const Env &environment, const char *path, const SessionOptions &options) {
        call(CreateSession, static_cast<const void *>(environment.own), path, static_cast<const void *>(options.own), &own);
    }
    std::vector<Value> Run(const RunOptions &options, const char *const *inputs, const Value *values, size_t input_count,
                           const char *const *outputs, size_t output_count) {
        std::vector<void *> given, made(output_count, nullptr);
        for (size_t index = 0; index < input_count; ++index) given.push_back(values[index].own);
        call(RunSession, own, static_cast<const void *>(options.own), inputs, static_cast<void *const *>(given.data()),
             input_count, outputs, output_count, made.data());
        std::vector<Value> results(output_count);
        for (size_t index = 0; index < output_count; ++index) results[index].own = made[index];
        return results;
    }
};

} // namespace Ort
