// The Python face of the core: module edge._native. Nothing else in native/ knows of Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "fbank.h"
#include "fbank_options.h"
#include "ring_buffer.h"

namespace py = pybind11;
using earmark::Fbank;
using earmark::FbankOptions;
using earmark::RingBuffer;

namespace {

using Samples = py::array_t<float, py::array::c_style>;

// Refuses whatever is not a contiguous 1-D float32 array: a silent conversion would hide a
// wrong sample format and cost a copy.
Samples CheckedBlock(const py::object& block) {
  const auto describe = [&block](const std::string& actual) {
    return "block: expected a contiguous 1-D numpy float32 array, got " + actual;
  };
  if (!py::isinstance<py::array>(block)) {
    throw py::type_error(describe(std::string(py::str(py::type::of(block)))));
  }
  const auto array = py::reinterpret_borrow<py::array>(block);
  if (!py::isinstance<py::array_t<float>>(block)) {
    throw py::type_error(describe("dtype " + std::string(py::str(array.dtype()))));
  }
  if (array.ndim() != 1) {
    throw py::value_error(describe("shape " + std::string(py::str(array.attr("shape")))));
  }
  if (!py::isinstance<Samples>(block)) {
    throw py::value_error(describe("strides " + std::string(py::str(array.attr("strides")))));
  }
  return py::reinterpret_borrow<Samples>(block);
}

template <class Value>
Value ConvertOption(const char* name, py::handle value) {
  bool right_type;
  const char* expected;
  if constexpr (std::is_same_v<Value, bool>) {
    right_type = py::isinstance<py::bool_>(value);
    expected = "a bool";
  } else if constexpr (std::is_same_v<Value, int>) {
    right_type = py::isinstance<py::int_>(value) && !py::isinstance<py::bool_>(value);
    expected = "a 32-bit integer";
  } else if constexpr (std::is_same_v<Value, double>) {
    right_type = (py::isinstance<py::int_>(value) || py::isinstance<py::float_>(value)) &&
                 !py::isinstance<py::bool_>(value);
    expected = "a number";
  } else {
    right_type = py::isinstance<py::str>(value);
    expected = "a string";
  }
  if (right_type) {
    try {
      return value.cast<Value>();
    } catch (const py::cast_error&) {  // too large: reported below
    }
  }
  throw py::value_error("FbankOptions." + std::string(name) + ": expected " + expected + ", got " +
                        std::string(py::repr(value)));
}

FbankOptions OptionsFromDict(const py::dict& settings) {
  FbankOptions options;
  size_t known = 0;
  std::string names;
  earmark::VisitFields(options, [&](const char* name, auto& member) {
    names += (names.empty() ? "" : ", ") + std::string(name);
    if (!settings.contains(name)) return;
    ++known;
    member = ConvertOption<std::decay_t<decltype(member)>>(name, settings[name]);
  });
  if (known < settings.size()) {
    const py::dict defaults = py::cast(FbankOptions()).attr("as_dict")();
    for (const auto& [key, value] : settings) {
      if (defaults.contains(key)) continue;
      throw py::value_error("FbankOptions: expected settings among " + names + ", got " +
                            std::string(py::repr(key)));
    }
  }
  options.Validate();
  return options;
}

py::dict DictFromOptions(const FbankOptions& options) {
  py::dict settings;
  earmark::VisitFields(
      options, [&settings](const char* name, const auto& member) { settings[name] = member; });
  return settings;
}

std::string OptionsRepr(const FbankOptions& options) {
  std::string text;
  earmark::VisitFields(options, [&text](const char* name, const auto& member) {
    text += (text.empty() ? "" : ", ") + std::string(name) + "=" +
            std::string(py::repr(py::cast(member)));
  });
  return "FbankOptions(" + text + ")";
}

// An Fbank that Python threads cannot corrupt: a push lets other threads run.
class GuardedFbank {
 public:
  explicit GuardedFbank(const FbankOptions& options) : fbank_(options) {}

  py::array_t<float> Push(const py::object& block) {
    const auto lock = Lock();
    const Samples samples = CheckedBlock(block);
    const auto count = static_cast<size_t>(samples.size());
    py::array_t<float> frames({static_cast<py::ssize_t>(fbank_.FramesAfter(count)),
                               static_cast<py::ssize_t>(fbank_.options().num_mels)});
    const float* in = samples.data();
    float* out = frames.mutable_data();
    py::gil_scoped_release other_threads_run;
    fbank_.Push(in, count, out);
    return frames;
  }

  void Reset() {
    const auto lock = Lock();
    fbank_.Reset();
  }

  int64_t frames_emitted() {
    const auto lock = Lock();
    return fbank_.frames_emitted();
  }

  const FbankOptions& options() const { return fbank_.options(); }

 private:
  std::unique_lock<std::mutex> Lock() {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) throw std::runtime_error("Fbank: expected one thread at a time, got two");
    return lock;
  }

  std::mutex mutex_;
  Fbank fbank_;
};

py::tuple ReadRing(RingBuffer& ring, py::ssize_t max_samples) {
  if (max_samples < 0) {
    throw py::value_error("max_samples: expected 0 or more, got " + std::to_string(max_samples));
  }
  const auto limit = std::min<py::ssize_t>(max_samples, ring.available());
  py::array_t<float> samples(limit);
  float* out = samples.mutable_data();
  RingBuffer::Span span;
  {
    py::gil_scoped_release writer_runs;
    span = ring.Read(out, static_cast<size_t>(limit));
  }
  if (static_cast<py::ssize_t>(span.count) < limit) {
    samples.resize({static_cast<py::ssize_t>(span.count)});
  }
  return py::make_tuple(span.position, samples, span.lost);
}

void BindRing(py::module_& m) {
  py::class_<RingBuffer>(m, "Ring", R"(Lock-free ring of float32 samples: one writer, one reader.

A writer that laps the reader drops the oldest samples, never blocks, and never waits. Positions
are int64 counts of samples since the stream began.

Args:
    capacity: samples kept, above 0.
    start: position of the first sample, 0 to 2^62.)")
      .def(py::init<int64_t, int64_t>(), py::arg("capacity"), py::arg("start") = 0)
      .def(
          "write",
          [](RingBuffer& ring, const py::object& block) {
            const Samples samples = CheckedBlock(block);
            ring.Write(samples.data(), static_cast<size_t>(samples.size()));
          },
          py::arg("block"), R"(Append samples: float32, shape (n,), contiguous.

Of more than `capacity` samples only the last are kept, but positions advance by all.)")
      .def("read", &ReadRing, py::arg("max_samples"), R"(Take at most `max_samples`, oldest first.

Returns:
    Position of the first sample; the samples, float32 of shape (n,); and the number of samples
    lost immediately before that position since the last read.)")
      .def_property_readonly("capacity", &RingBuffer::capacity, "Samples kept.")
      .def_property_readonly("written", &RingBuffer::written,
                             "Position after the last sample written.")
      .def_property_readonly("consumed", &RingBuffer::consumed,
                             "Position after the last sample read or reported lost.")
      .def_property_readonly("dropped", &RingBuffer::dropped,
                             "Samples that reads have reported lost so far.")
      .def_property_readonly("available", &RingBuffer::available,
                             "Samples that a read would find now.");
}

void BindOptions(py::module_& m) {
  py::class_<FbankOptions> options(m, "FbankOptions", R"(Settings of the front end; immutable.

Args:
    sample_rate: Hz.
    frame_length_ms: analysis window, milliseconds.
    frame_shift_ms: hop between frames, milliseconds.
    window: "povey" or "hamming".
    preemphasis: coefficient, 0 to 1.
    remove_dc_offset: subtract each frame's mean.
    num_mels: mel filters.
    low_hz: lower edge of the first filter, Hz.
    high_hz: upper edge of the last filter, Hz; 0 or less: offset from Nyquist.
    scale: multiplies the samples; 32768 takes [-1, 1) to the int16 range that Kaldi assumes.

Raises:
    ValueError: naming the setting, what was expected and what came.)");
  options.def(py::init([](const py::kwargs& settings) { return OptionsFromDict(settings); }))
      .def_static("from_dict", &OptionsFromDict, py::arg("settings"),
                  "Options from names and values; defaults for those not named.")
      .def("as_dict", &DictFromOptions, "All settings by name.")
      .def("__repr__", &OptionsRepr)
      .def(
          "__eq__", [](const FbankOptions& a, const FbankOptions& b) { return a == b; },
          py::is_operator())
      .def("__hash__", [](const FbankOptions& o) { return py::hash(py::str(OptionsRepr(o))); })
      .def(py::pickle(&DictFromOptions, &OptionsFromDict));
  FbankOptions defaults;
  earmark::VisitFields(defaults, [&](const char* name, auto&) {
    const std::string key = name;
    options.def_property_readonly(name, [key](const FbankOptions& o) -> py::object {
      return DictFromOptions(o)[key.c_str()];
    });
  });
}

void BindFbank(py::module_& m) {
  py::class_<GuardedFbank>(m, "Fbank", R"(Streaming Kaldi-compatible log-mel filterbank.

Frame i covers samples [i * shift, i * shift + length) since construction or reset. The frames are
the same bits however the samples are cut into blocks.

Args:
    options: settings of the front end.)")
      .def(py::init<const FbankOptions&>(), py::arg("options") = FbankOptions())
      .def("push", &GuardedFbank::Push, py::arg("block"), R"(Take the next samples.

Args:
    block: float32, shape (n,), contiguous; any n.

Returns:
    The frames now complete: float32, shape (frames, num_mels), natural-log energies.)")
      .def("reset", &GuardedFbank::Reset, "Forget all samples, as if newly made.")
      .def_property_readonly("options", &GuardedFbank::options, "The settings it was made with.")
      .def_property_readonly("frames_emitted", &GuardedFbank::frames_emitted,
                             "Frames given since construction or reset.");
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "Earmark's C++ core: sample ring and streaming filterbank.";
  BindRing(m);
  BindOptions(m);
  BindFbank(m);
}
