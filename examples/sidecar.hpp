// Reads FILE.json, the sidecar of an exported file, in C++17 without libraries.

#pragma once

#include <cctype>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// A value of JSON: an object's fields, a list's items, a text, or a number (true is 1, false and null are 0).
struct Json {
    std::map<std::string, Json> fields;
    std::vector<Json> items;
    std::string text;
    double number = 0;
    bool null = false;

    const Json &operator[](const std::string &name) const {
        auto found = fields.find(name);
        if (found == fields.end()) throw std::runtime_error("the sidecar has no " + name + ": export the file again");
        return found->second;
    }
    std::vector<float> floats() const {
        std::vector<float> values;
        for (const Json &item : items) values.push_back(static_cast<float>(item.number));
        return values;
    }
};

class JsonReader {
  public:
    explicit JsonReader(std::string content) : text(std::move(content)) {}

    Json value() {
        char first = next();
        Json read;
        if (first == '{' || first == '[') {
            ++at;
            for (char mark = next(); mark != '}' && mark != ']'; mark = next()) {
                if (mark == ',') ++at;
                if (first == '[') {
                    read.items.push_back(value());
                } else {
                    std::string name = value().text;
                    next();
                    ++at; // the colon
                    read.fields[name] = value();
                }
            }
            ++at;
        } else if (first == '"') {
            for (++at; text.at(at) != '"'; ++at) {
                if (text[at] == '\\') ++at; // of \" the quote; other escapes stand in texts for people only
                read.text += text.at(at);
            }
            ++at;
        } else if (first == 't' || first == 'f' || first == 'n') {
            read.number = first == 't';
            read.null = first == 'n';
            at += first == 'f' ? 5 : 4;
        } else {
            size_t length = 0;
            read.number = std::stod(text.substr(at, 40), &length);
            at += length;
        }
        return read;
    }

  private:
    std::string text;
    size_t at = 0;

    char next() {
        while (std::isspace(static_cast<unsigned char>(text.at(at)))) ++at;
        return text[at];
    }
};

inline std::string content_of(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

inline Json read_sidecar(const std::string &path) {
    Json about = JsonReader(content_of(path + ".json")).value();
    if (about["format"].number != 1) throw std::runtime_error(path + ".json: this client knows format 1");
    return about;
}
