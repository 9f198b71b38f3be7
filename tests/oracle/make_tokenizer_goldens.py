"""Golden files of the tokenizer, made with the reference (Hugging Face `tokenizers` 0.23.3) and Python 3.11 (Unicode 14).

    make_tokenizer_goldens.py DATA    writes tests/golden/tokenizer_*.npy and tests/golden/tokenizers/*.json
    make_tokenizer_goldens.py --table writes src/lm/tokenizer_unicode.h

DATA is the folder of real data (tokenizers/gpt2, tokenizers/llama2, stories260K).
"""
import sys
import unicodedata
from pathlib import Path

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

ROOT = Path(__file__).resolve().parents[2]


# ---- characters newer than PCRE2 10.42's tables (Unicode 14) ---------------------------------------------------------


def matched(codes, text, regex):
    """The code points that the reference's regular expression matches."""
    found = set()
    for _, (begin, end) in Split(Regex(regex), "removed", invert=True).pre_tokenize_str(text):
        found.update(codes[begin:end])
    return found


def write_table():
    assert unicodedata.unidata_version == "14.0.0"
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "".join(map(chr, codes))
    new = {}
    for category in sorted({unicodedata.category(c) for c in text} - {"Cn", "Cs"}):
        for code in matched(codes, text, r"\p{%s}" % category):
            if unicodedata.category(chr(code)) == "Cn":
                new[code] = category
    ranges = []
    for code in sorted(new):
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == new[code]:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, new[code]])
    cells = ['{0x%04x, 0x%04x, "%s"},' % tuple(r) for r in ranges]
    lines = ["    " + " ".join(cells[i : i + 5]) for i in range(0, len(cells), 5)]
    (ROOT / "src/lm/tokenizer_unicode.h").write_text(
        "/* tokenizer_unicode.h: characters that Unicode got after version 14 (PCRE2 10.42) and until 16 (the reference), by general\n"
        " * category. Written by tests/oracle/make_tokenizer_goldens.py --table; with a newer PCRE2 they are merely said twice. */\n"
        "#ifndef VOXGRAD_LM_TOKENIZER_UNICODE_H\n#define VOXGRAD_LM_TOKENIZER_UNICODE_H\n\n#include <stdint.h>\n\n"
        "/* clang-format off */\n"
        "static const struct {\n    uint32_t first, last;\n    char category[3];\n} newer[] = {\n" + "\n".join(lines) + "\n};\n"
        "/* clang-format on */\n\n#endif\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        write_table()
