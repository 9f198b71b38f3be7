#!/usr/bin/env bash
# Public data for the tests and for jobs/alice.yaml: where each comes from, and whether what was downloaded is what the project was measured with.
# Nothing is downloaded: some of it must be asked for, and each has its own licence. The sums are in jobs/data.sha256.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: jobs/get-data.sh [--sums FILE] [DIR]

Without DIR: prints where each of the public data comes from.
With DIR (for example ../shared/data, where the tests look): compares the files in it with jobs/data.sha256 (or FILE, as
`sha256sum` writes it) and prints each as ok, missing or different.

Exit status: 0 all are ok, 2 some are missing or different. voxgrad works without any of them; tests that need one skip.
USAGE
}

# folder|what|where|licence and notes
sources() {
    cat <<'TABLE'
alice/|fMRI of 28 listeners to chapter 1 of Alice in Wonderland: region time courses, word timings, regressors|Brennan, Stabler, Van Wagenen, Luh, Hale (2016), Abstract linguistic structure correlates with temporal activity during naturalistic comprehension, Brain and Language 157-158:81-94; the authors' deposit at Deep Blue Data, University of Michigan, https://deepblue.lib.umich.edu/data|CC-BY 4.0
alice/openneuro-ds002322/|annotations of the words of the same audio|https://openneuro.org/datasets/ds002322, version 1.0.4|CC0
stories260K/|a trained Llama-architecture language model of 260 thousand parameters|https://huggingface.co/karpathy/tinyllamas, folder stories260K|MIT; a llama2.c checkpoint, to be converted to config.json, model.safetensors and tokenizer.json: the sums are of one such conversion
tokenizers/gpt2/|GPT-2's byte-level BPE|https://huggingface.co/openai-community/gpt2 (vocab.json, merges.txt, tokenizer.json)|MIT
tokenizers/llama2/|Llama 2's BPE with byte fallback|https://huggingface.co/meta-llama/Llama-2-7b-hf (access on request)|Llama 2 Community License; for tests only
tokenizers/test-vectors/|texts and the token ids expected of them|https://github.com/ggml-org/llama.cpp, models/ggml-vocab-*.gguf.inp and .out|MIT
fsaverage5/|FreeSurfer's average surface with 10,242 vertices a hemisphere|FreeSurfer, https://surfer.nmr.mgh.harvard.edu (subject fsaverage5); the Destrieux labels *_mics.annot: https://github.com/MICA-MNI/micapipe, parcellations|FreeSurfer licence; micapipe GPL-3.0
fsaverage5/nilearn/|the same surfaces and maps in GIFTI|https://github.com/nilearn/nilearn, nilearn/datasets/data/fsaverage5|BSD
TABLE
}

print_sources() {
    local folder what where licence
    while IFS='|' read -r folder what where licence; do
        printf '%s\n    %s\n    from     %s\n    licence  %s\n' "$folder" "$what" "$where" "$licence"
    done < <(sources)
}

# One line a file; at the end the counts, and where to find what is missing.
check() {
    local folder=$1 sums=$2 sum path found state
    local -A count=([ok]=0 [missing]=0 [different]=0)
    while read -r sum path; do
        if [ ! -e "$folder/$path" ]; then
            state=missing
        else
            found=$(sha256sum <"$folder/$path")
            [ "${found%% *}" = "$sum" ] && state=ok || state=different
        fi
        count[$state]=$((count[$state] + 1))
        printf '%-9s  %s\n' "$state" "$path"
    done <"$sums"
    printf '\n%s: %d ok, %d missing, %d different\n' "$folder" "${count[ok]}" "${count[missing]}" "${count[different]}"
    [ "$((count[missing] + count[different]))" -eq 0 ] && return
    echo "Where the files come from: jobs/get-data.sh without a folder. A file that is different may be another release of the same."
    return 2
}

sums="$here/data.sha256"
if [ "${1-}" = --sums ] && [ "$#" -ge 2 ]; then
    sums=$2
    shift 2
fi
case "$#:${1-}" in
0:) usage && echo && print_sources ;;
1:-h | 1:--help) usage ;;
1:-*) usage >&2 && exit 2 ;;
1:*)
    [ -d "$1" ] || { echo "$1: no such folder" >&2 && exit 2; }
    [ -r "$sums" ] || { echo "$sums: cannot be read" >&2 && exit 2; }
    check "$1" "$sums"
    ;;
*) usage >&2 && exit 2 ;;
esac
