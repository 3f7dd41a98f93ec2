#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::api {

/// Writes JSON text front to back, without building a tree. Text that is not UTF-8 is repaired, numbers that are not
/// finite become null. A value; misuse (two keys in a row) is a bug of ours and shows in the output's tests.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& text(std::string_view value);
  JsonWriter& number(int64_t value);
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  /// JSON text as it is; the caller vouches for it.
  JsonWriter& raw(std::string_view json);

  JsonWriter& field(std::string_view name, std::string_view value) { return key(name).text(value); }
  JsonWriter& field(std::string_view name, const std::string& value) { return key(name).text(value); }
  JsonWriter& field(std::string_view name, const char* value) { return key(name).text(value); }
  JsonWriter& field(std::string_view name, std::same_as<bool> auto value) { return key(name).boolean(value); }
  JsonWriter& field(std::string_view name, std::floating_point auto value) {
    return key(name).number(static_cast<double>(value));
  }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  JsonWriter& field(std::string_view name, T value) {
    return key(name).number(static_cast<int64_t>(value));
  }

  [[nodiscard]] const std::string& str() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void separate();

  std::string out_;
  bool comma_ = false;  ///< a value stands before the next one
};

}  // namespace tessera::api
