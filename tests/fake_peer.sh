#!/usr/bin/env bash
# A peer for the tests of student-bench peers: speaks the protocol of bench/peers/run.py without any
# runtime. Its maps are 0.5 everywhere, as a network of zeros gives. FAKE_LIST is what `list` prints
# and FAKE_CODE how that ends; the peer's name chooses how it behaves.
if [ "$1" = list ]; then
    printf '%b' "${FAKE_LIST-peer good f32 fake 1.0\n}"
    exit "${FAKE_CODE:-0}"
fi
name=$1
[ "$name" != dies-at-once ] || exit 3
while IFS= read -r line; do
    IFS=$'\t' read -r -a words <<< "$line"
    case "$name:${words[0]}" in
        *:quit) exit 0 ;;
        refuses:load) echo "error RuntimeError: cannot read that" ;;
        silent:load) exec sleep 30 ;;
        babbles:load) head -c 5000 /dev/zero | tr '\0' x; echo ;;
        *:load)
            if [ -s "${words[2]}" ] && [ -s "${words[3]}" ]; then
                echo "ok Fake 1.0, ${words[1]} threads, OpenMP $OMP_NUM_THREADS"
            else
                echo "error no files"
            fi ;;
        *:frames)
            if [ "$(stat -c %s "${words[1]}")" = $((words[2] * words[3] * words[4])) ]; then
                echo "ok 3"
            else
                echo "error the frames do not fit"
            fi ;;
        zeros:check) head -c $((words[1] * 273 * 4)) /dev/zero > "${words[2]}"; echo ok ;;
        short:check) echo x > "${words[2]}"; echo ok ;;
        *:check)
            for ((i = 0; i < words[1] * 273; i++)); do printf '\0\0\0\77'; done > "${words[2]}"
            echo ok ;;
        stops:run) exit 4 ;;
        nonsense:run) echo "timed 0 nan" ;;
        *:run) if [ "${words[1]}" = u8 ]; then echo "timed 50 0.5"; else echo "timed 100 0.5"; fi ;;
        *) echo "error unknown command ${words[0]}" ;;
    esac
done
