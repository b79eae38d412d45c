# Sourced by tests/cli_*.sh: fail, check and run helpers. Each script works in a fresh folder of its own.
set -u
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
skip() {
    echo "SKIPPED: $*"
    exit 77
}
# run EXPECTED_CODE command...: runs it with stdout in ./out and stderr in ./err and compares its exit code.
run() {
    local expected=$1 code=0
    shift
    "$@" >out 2>err </dev/null || code=$?
    [ "$code" = "$expected" ] || fail "exit code $code, expected $expected: $*
--- stdout
$(head -c 4000 out)
--- stderr
$(head -c 4000 err)"
}
# has FILE TEXT: the file contains the text.
has() { grep -qF -- "$2" "$1" || fail "'$2' is not in $1: $(head -c 2000 "$1")"; }
# lacks FILE TEXT
lacks() { ! grep -qF -- "$2" "$1" || fail "'$2' should not be in $1: $(head -c 2000 "$1")"; }
# empty FILE
empty() { [ ! -s "$1" ] || fail "$1 should be empty: $(head -c 2000 "$1")"; }
# fresh: an empty working folder below the one ctest starts in
fresh() {
    rm -rf work
    mkdir work
    cd work || exit 1
}
