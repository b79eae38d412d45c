# Every public header compiles alone, as C17 and as C++17, without a warning, and names no type of a backend.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
cxx=$(command -v c++ || command -v g++ || command -v clang++) || skip "no C++ compiler"
count=0
for header in "$SACCADE_SOURCE"/include/saccade/*.h; do
    name=saccade/$(basename "$header")
    printf '#include "%s"\n#include "%s"\nint main(void);\nint main(void) { return 0; }\n' "$name" "$name" >one.c
    cp one.c one.cpp
    run 0 "$SACCADE_CC" -std=c17 -pedantic -Wall -Wextra -Wconversion -Wshadow -Wundef -Werror -fsyntax-only -I"$SACCADE_SOURCE/include" one.c
    sed -i '/^int main(void);$/d' one.cpp
    run 0 "$cxx" -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -I"$SACCADE_SOURCE/include" one.cpp
    grep -Eq 'dnnl|libav|AVFrame|AVPacket|omp\.h|cairo|json_t' "$header" && fail "$name names a type of a backend"
    count=$((count + 1))
done
[ "$count" -ge 2 ] || fail "only $count public headers were found"
echo "$count headers"
