# Installs into a fresh prefix, moves it, and builds and runs a program against it by find_package and by pkg-config.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
run 0 cmake --install "$SACCADE_BUILD" --prefix "$PWD/first"
mv first prefix
prefix=$PWD/prefix
library=$(find "$prefix" -name 'libsaccade.so.*.*.*')
[ -f "$library" ] || fail "libsaccade is not installed: $(find "$prefix" | head -30)"
libdir=$(dirname "$library")

# Exactly what the public headers promise is exported.
nm -D --defined-only "$library" | awk '$2 ~ /[A-Z]/ && $3 !~ /^(_edata|_end|__bss_start)$/ {print $3}' | sort >exported
cat "$prefix"/include/saccade/*.h | grep -v '^#define' | tr '\n' ' ' | grep -oE 'SAC_API [^;(]*\(' |
    sed -E 's/.*[ *](sac_[a-z0-9_]+)\($/\1/' | sort >promised
[ "$(wc -l <promised)" -ge 3 ] || fail "only these functions were found in the headers: $(cat promised)"
diff promised exported >difference || fail "public headers (<) and exported symbols (>) differ: $(cat difference)"

# The backend comes along when it is not the system's, with its licence, once.
if grep -q 'RUNPATH.*ORIGIN/saccade' <<<"$(readelf -d "$library")"; then
    [ "$(find "$prefix" -name 'libdnnl.so*' -type f | wc -l)" = 1 ] || fail "copies: $(find "$prefix" -name 'libdnnl*')"
    grep -q "$libdir/saccade/libdnnl" <<<"$(LD_LIBRARY_PATH= ldd "$library")" || fail "libdnnl: $(ldd "$library" | grep dnnl)"
    [ -s "$prefix/share/doc/saccade/onednn/LICENSE" ] || fail "the licence of oneDNN is missing"
fi
! ldd "$library" | grep 'not found' || fail "libraries are missing"
[ -s "$prefix/share/doc/saccade/LICENSE" ] || fail "the licence is missing"
! grep -rl -F "$SACCADE_SOURCE" "$prefix/include" "$libdir/cmake" "$libdir/pkgconfig" || fail "paths of the source tree are installed"

mkdir program
cp "$SACCADE_SOURCE/tests/embed.c" program/main.c
cat >program/CMakeLists.txt <<'TEXT'
cmake_minimum_required(VERSION 3.22)
project(embed C)
find_package(saccade 0.1 REQUIRED)
add_executable(embed main.c)
target_link_libraries(embed PRIVATE saccade::saccade)
TEXT
run 0 cmake -S program -B by-cmake -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$SACCADE_CC"
run 0 cmake --build by-cmake
model="$SACCADE_SOURCE/models/ped2.safetensors"
run 0 by-cmake/embed "$model"
has out "12 frames scored"
run 1 by-cmake/embed "$SACCADE_SOURCE/README.md"
has out "README.md"

export PKG_CONFIG_PATH="$libdir/pkgconfig"
run 0 "$SACCADE_CC" -std=c17 -Wall -Werror program/main.c $(pkg-config --cflags --libs saccade) -o by-pkg-config
LD_LIBRARY_PATH=$libdir run 0 ./by-pkg-config "$model"
has out "12 frames scored"
version=$(pkg-config --modversion saccade)
has out "version $version"

for tool in "$prefix"/bin/*; do
    [ -x "$tool" ] || continue
    run 0 "$tool" --version
    has out "$(basename "$tool") $version"
done
echo "$(wc -l <exported) symbols, $(find "$prefix/bin" -type f 2>/dev/null | wc -l) tools"
