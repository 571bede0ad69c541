#!/usr/bin/env bash
# The bundled conversation heard on this machine and on an emulated 64-bit ARM, whose answers must
# be alike: the C++ core cross-compiled, everything else from the packages a Raspberry Pi gets.
# Half a minute to install, into build/arm, and a minute to run.
set -euo pipefail

arm=build/arm
python=3.11 # Debian bookworm's
target=aarch64-linux-gnu

if [ ! -d $arm/root ]; then
  echo "fetching Debian for arm64: 130 MB" >&2
  mkdir -p $arm
  rm -rf $arm/root.partial
  mmdebstrap --quiet --variant=extract --arch=arm64 \
    --include="python$python-minimal,libpython$python-stdlib,libpython$python-dev,libstdc++6,libgomp1" \
    bookworm $arm/root.partial
  mv $arm/root.partial $arm/root
fi

if [ ! -d $arm/site ]; then
  echo "fetching what Earmark needs, for arm64: 170 MB" >&2
  rm -rf $arm/site.partial
  platforms=()
  for version in 2_28 2_27 2_26 2_17; do platforms+=(--platform "manylinux_${version}_aarch64"); done
  # Newer versions of onnxruntime do not run under the qemu of bookworm; on real machines they do.
  .venv/bin/pip install --quiet --target $arm/site.partial --only-binary=:all: \
    "${platforms[@]}" --platform manylinux2014_aarch64 --python-version $python \
    --implementation cp --abi "cp${python/./}" --abi abi3 --abi none \
    $(.venv/bin/python -c '
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*(d if not d.startswith("onnxruntime") else "onnxruntime==1.27.0"
        for d in project["dependencies"]))')
  .venv/bin/pip install --quiet --target $arm/tools "pybind11>=3.0"
  mv $arm/site.partial $arm/site
fi

cmake -S . -B $arm/native -DEARMARK_PYTHON=ON \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=$target-g++ -DCMAKE_CXX_FLAGS="-idirafter $PWD/$arm/root/usr/include" \
  -Dpybind11_DIR="$PWD/$arm/tools/pybind11/share/cmake/pybind11" -DPYBIND11_FINDPYTHON=NEW \
  -DPYBIND11_USE_CROSSCOMPILING=ON -DPython_INCLUDE_DIR="$PWD/$arm/root/usr/include/python$python" \
  -DPYTHON_MODULE_EXTENSION=".cpython-${python/./}-$target.so" -DPYTHON_MODULE_DEBUG_POSTFIX="" \
  -DPYTHON_IS_DEBUG=OFF >/dev/null
cmake --build $arm/native -j"$(nproc)" >/dev/null

rm -rf $arm/edge
cp -r edge $arm/
cp $arm/native/_native.*.so $arm/edge/

# -P: not the edge of the current folder, which is without its C++.
hear=(-P -m edge.cli diarize edge/assets/conversation.flac --json)
.venv/bin/python "${hear[@]}" $arm/here.json
echo "the conversation on $target, emulated: a minute" >&2
PYTHONPATH=$arm:$arm/site qemu-aarch64-static -L $arm/root $arm/root/usr/bin/python$python \
  "${hear[@]}" $arm/there.json
.venv/bin/python scripts/alike.py $arm/here.json $arm/there.json
echo "$target and $(uname -m) answer alike"
