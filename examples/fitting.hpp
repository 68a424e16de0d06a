// What every client does, in C++17 without libraries: fit an image to an exported file, make labels of the file's output. All
// numbers are the sidecar's. `fitting.py` is the same in Python; docs/exporting.md tells the rule.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "sidecar.hpp"

// Rows of pixels, their channels together.
template <typename T> struct Image {
    int height = 0, width = 0, channels = 0;
    std::vector<T> values;

    Image() = default;
    Image(int height, int width, int channels)
        : height(height), width(width), channels(channels), values(size_t(height) * width * channels) {}
    T &operator()(int row, int column, int channel) { return values[(size_t(row) * width + column) * channels + channel]; }
    T operator()(int row, int column, int channel) const { return values[(size_t(row) * width + column) * channels + channel]; }
};

// RGB, 8 bits: a binary PPM, P6.
inline Image<uint8_t> read_ppm(const std::string &path) {
    std::istringstream file(content_of(path));
    std::string kind;
    int height = 0, width = 0, largest = 0;
    file >> kind >> width >> height >> largest;
    file.get();
    if (kind != "P6" || largest != 255 || !file) throw std::runtime_error(path + " is no PPM (P6) of 8 bits without comments");
    Image<uint8_t> image(height, width, 3);
    file.read(reinterpret_cast<char *>(image.values.data()), static_cast<std::streamsize>(image.values.size()));
    if (!file) throw std::runtime_error(path + " ends too early");
    return image;
}

inline void write_pgm(const std::string &path, const Image<uint8_t> &labels) {
    std::ofstream file(path, std::ios::binary);
    file << "P5\n" << labels.width << " " << labels.height << "\n255\n";
    file.write(reinterpret_cast<const char *>(labels.values.data()), static_cast<std::streamsize>(labels.values.size()));
    if (!file) throw std::runtime_error("cannot write " + path);
}

struct Size {
    int height, width;
};

inline Size size_of(const Json &list) { return {int(list.items.at(0).number), int(list.items.at(1).number)}; }

// The size at which the file sees an image.
inline Size fitted(Size image, const Json &fit) {
    Size base = size_of(fit["base_size"]);
    double scale = std::min(double(std::max(base.height, base.width)) / std::max(image.height, image.width),
                            double(std::min(base.height, base.width)) / std::min(image.height, image.width));
    bool framed = !fit["frame"].null;
    Size frame = framed ? size_of(fit["frame"]) : Size{0, 0};
    if (framed) scale = std::min({scale, double(frame.height) / image.height, double(frame.width) / image.width});
    auto side = [&](int length, int most) {
        int least = int(fit["least"].number), multiple = int(fit["multiple"].number);
        int rounded = std::max(int(length * scale + 0.5), least);
        rounded = (rounded + multiple - 1) / multiple * multiple;
        return framed ? std::min(rounded, most) : rounded;
    };
    return {side(image.height, frame.height), side(image.width, frame.width)};
}

// Of one axis: for each place of the output the two places of the input that it lies between, and the second one's share.
struct Axis {
    std::vector<int> low, high;
    std::vector<float> share;

    Axis(int from, int to) {
        for (int place = 0; place < to; ++place) {
            float centre = static_cast<float>((place + 0.5) * (double(from) / to) - 0.5);
            int below = static_cast<int>(std::floor(centre));
            low.push_back(std::clamp(below, 0, from - 1));
            high.push_back(std::clamp(below + 1, 0, from - 1));
            share.push_back(centre - below);
        }
    }
};

// Bilinear with OpenCV's rounding: weights in steps of 1/2048, and the sums of rows shortened by 4 and by 16 bits.
inline Image<uint8_t> resized(const Image<uint8_t> &image, Size size) {
    Axis rows(image.height, size.height), columns(image.width, size.width);
    auto weight = [](float share) { return static_cast<int>(std::lrint(share * 2048)); };
    Image<uint8_t> result(size.height, size.width, image.channels);
    for (int y = 0; y < size.height; ++y)
        for (int x = 0; x < size.width; ++x)
            for (int c = 0; c < image.channels; ++c) {
                int left = weight(1 - columns.share[x]), right = weight(columns.share[x]);
                auto mixed = [&](int row) {
                    return image(row, columns.low[x], c) * left + image(row, columns.high[x], c) * right;
                };
                int above = weight(1 - rows.share[y]) * (mixed(rows.low[y]) >> 4) >> 16;
                int below = weight(rows.share[y]) * (mixed(rows.high[y]) >> 4) >> 16;
                result(y, x, c) = static_cast<uint8_t>((above + below + 2) >> 2);
            }
    return result;
}

// The file's input: its shape, and its values as float32 or uint8.
struct Input {
    std::vector<int64_t> shape;
    std::vector<float> floats;
    std::vector<uint8_t> bytes;
    bool is_bytes = false;
};

inline Input prepared(const Image<uint8_t> &image, const Json &about) {
    const Json &fit = about["fit"], &takes = about["input"];
    Size size = fitted({image.height, image.width}, fit);
    Size whole = fit["frame"].null ? size : size_of(fit["frame"]);
    Image<uint8_t> seen = resized(image, size);
    std::vector<float> mean = takes["mean"].floats(), deviation = takes["std"].floats(), padding = fit["padding"].floats();
    bool inside = about["form"]["preprocess"].number != 0, first = takes["layout"].text == "NCHW";
    int channels = image.channels;
    Input input;
    input.is_bytes = takes["dtype"].text == "uint8";
    input.shape = first ? std::vector<int64_t>{1, channels, whole.height, whole.width}
                        : std::vector<int64_t>{1, whole.height, whole.width, channels};
    input.floats.resize(size_t(whole.height) * whole.width * channels);
    for (int y = 0; y < whole.height; ++y)
        for (int x = 0; x < whole.width; ++x)
            for (int c = 0; c < channels; ++c) {
                bool there = y < size.height && x < size.width;
                float value = there ? seen(y, x, c) : padding.at(c);
                if (there && !inside) value = (value - mean.at(c)) / deviation.at(c);
                size_t plane = (size_t(c) * whole.height + y) * whole.width + x;
                input.floats[first ? plane : (size_t(y) * whole.width + x) * channels + c] = value;
            }
    if (input.is_bytes) input.bytes.assign(input.floats.begin(), input.floats.end());
    return input;
}

// The labels of an image of `size`, from the file's labels (1, H, W).
inline Image<uint8_t> labels_of(const uint8_t *output, const std::vector<int64_t> &shape, Size size, const Json &about) {
    Size part = fitted(size, about["fit"]);
    double tall = 1 / (double(size.height) / part.height), wide = 1 / (double(size.width) / part.width);
    Image<uint8_t> labels(size.height, size.width, 1);
    for (int y = 0; y < size.height; ++y)
        for (int x = 0; x < size.width; ++x) {
            int row = std::min(int(y * tall), part.height - 1), column = std::min(int(x * wide), part.width - 1);
            labels(y, x, 0) = output[row * shape.at(2) + column];
        }
    return labels;
}

// The labels of an image of `size`, from the file's logits (1, K, h, w).
inline Image<uint8_t> labels_of(const float *output, const std::vector<int64_t> &shape, Size size, const Json &about) {
    Size part = fitted(size, about["fit"]);
    int stride = int(about["labels"]["stride"].number);
    Axis rows((part.height + stride - 1) / stride, size.height), columns((part.width + stride - 1) / stride, size.width);
    Image<uint8_t> labels(size.height, size.width, 1);
    for (int y = 0; y < size.height; ++y)
        for (int x = 0; x < size.width; ++x) {
            float best = 0;
            for (int k = 0; k < shape.at(1); ++k) {
                const float *plane = output + k * shape.at(2) * shape.at(3);
                auto mixed = [&](int row) {
                    const float *values = plane + row * shape.at(3);
                    return values[columns.low[x]] * (1 - columns.share[x]) + values[columns.high[x]] * columns.share[x];
                };
                float score = mixed(rows.low[y]) * (1 - rows.share[y]) + mixed(rows.high[y]) * rows.share[y];
                if (k == 0 || score > best) {
                    best = score;
                    labels(y, x, 0) = static_cast<uint8_t>(k);
                }
            }
        }
    return labels;
}

// The place of an image's labels: FOLDER/IMAGE.pgm.
inline std::string place_of(const std::string &folder, const std::string &image) {
    std::string name = image.substr(image.find_last_of('/') + 1);
    return folder + "/" + name.substr(0, name.find_last_of('.')) + ".pgm";
}
