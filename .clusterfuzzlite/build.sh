#!/bin/bash -eu
# Fills $OUT with the fuzz targets, their seeds and their dictionaries. OSS-Fuzz and ClusterFuzzLite set SRC and OUT, the
# compiler and its flags. Debug assertions stay: they find what overflows.
cd "$SRC/ipq"
cargo fuzz build -O --debug-assertions
release=fuzz/target/x86_64-unknown-linux-gnu/release
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp "$release/$target" "$OUT/"
    zip --quiet --junk-paths "$OUT/${target}_seed_corpus.zip" "fuzz/seeds/$target/"*
    dictionary=fuzz/dictionaries/$target.dict
    if [ -e "$dictionary" ]; then
        cp "$dictionary" "$OUT/"
    fi
done
