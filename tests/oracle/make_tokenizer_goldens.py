"""Golden files of the tokenizer, made with the reference (Hugging Face `tokenizers` 0.23.3) and Python 3.11 (Unicode 14).

    make_tokenizer_goldens.py DATA    writes tests/golden/tokenizer_*.npy and tests/golden/tokenizers/*.json
    make_tokenizer_goldens.py --table writes src/lm/tokenizer_unicode.h

DATA is the folder of real data (tokenizers/gpt2, tokenizers/llama2, stories260K).
"""
import ctypes
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.normalizers import NFKD, Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"


# ---- where the reference's Unicode is another: src/lm/tokenizer_unicode.h ---------------------------------------------


def matched(codes, text, regex):
    """The code points that the reference's regular expression matches."""
    found = set()
    for _, (begin, end) in Split(Regex(regex), "removed", invert=True).pre_tokenize_str(text):
        found.update(codes[begin:end])
    return found


def newer_categories(codes):
    """Code points that PCRE2 10.42 (Unicode 14, as Python 3.11) does not know, with the reference's general category."""
    assert unicodedata.unidata_version == "14.0.0"
    text = "".join(map(chr, codes))
    new = {}
    for category in sorted({unicodedata.category(c) for c in text} - {"Cn", "Cs"}):
        for code in matched(codes, text, r"\p{%s}" % category):
            if unicodedata.category(chr(code)) == "Cn":
                new[code] = category
    return new


def utf8proc_form(name):
    function = getattr(ctypes.CDLL("libutf8proc.so.2"), "utf8proc_" + name)
    function.restype = ctypes.c_char_p
    return lambda text: function(ctypes.c_char_p(text.encode())).decode()


def unlike_normalization(codes):
    """Code points that utf8proc decomposes and the reference does not (W), or orders as a mark and the reference does not (O)."""
    ours, theirs, odd = utf8proc_form("NFKD"), NFKD(), {}
    for code in codes[1:]:
        c = chr(code)
        if ours(c) != theirs.normalize_str(c):
            assert theirs.normalize_str(c) == c
            odd[code] = "W"
        elif any(ours(text) != theirs.normalize_str(text) for text in (c + "\u0334", "\u0345" + c)):
            assert theirs.normalize_str(c + "\u0334") == c + "\u0334" and theirs.normalize_str("\u0345" + c) == "\u0345" + c
            odd[code] = "O"
    return odd


def newer_lowercase(codes):
    """Code points whose lowercase utf8proc does not know, with how far away the reference finds it."""
    lower, theirs, new = ctypes.CDLL("libutf8proc.so.2").utf8proc_tolower, Lowercase(), {}
    for code in codes:
        small = theirs.normalize_str(chr(code))
        if small != chr(lower(code)) and code != 0x130:
            new[code] = ord(small) - code
    return new


def rows(values):
    ranges = []
    for code in sorted(values):
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == values[code]:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, values[code]])
    cells = ["{0x%04x, 0x%04x, %s}," % (r[0], r[1], r[2] if isinstance(r[2], int) else '"%s"' % r[2]) for r in ranges]
    return "\n".join("    " + " ".join(cells[i : i + 5]) for i in range(0, len(cells), 5))


def write_table():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    (ROOT / "src/lm/tokenizer_unicode.h").write_text(
        "/* tokenizer_unicode.h: where the reference's Unicode is not that of our libraries.\n"
        " * newer: characters that Unicode got after version 14 (PCRE2 10.42) and until 16 (the reference's regular expressions), by\n"
        " * general category; with a newer PCRE2 they are merely said twice. older: what utf8proc (Unicode 15) normalizes and the\n"
        " * reference, whose tables are older, does not: W stays whole, O is not ordered as a mark. lowercase: what it does not know.\n"
        " * Written by tests/oracle/make_tokenizer_goldens.py --table. */\n"
        "#ifndef VOXGRAD_LM_TOKENIZER_UNICODE_H\n#define VOXGRAD_LM_TOKENIZER_UNICODE_H\n\n#include <stdint.h>\n\n"
        "typedef struct {\n    uint32_t first, last;\n    char what[3];\n} unicode_range;\n\n"
        "/* clang-format off */\n"
        "static const unicode_range newer[] __attribute__((unused)) = {\n" + rows(newer_categories(codes)) + "\n};\n\n"
        "static const unicode_range older[] __attribute__((unused)) = {\n" + rows(unlike_normalization(codes)) + "\n};\n"
        "static const struct {\n    uint32_t first, last;\n    int32_t away;\n} lowercase[] __attribute__((unused)) = {\n"
        + rows(newer_lowercase(codes)) + "\n};\n"
        "/* clang-format on */\n\n#endif\n"
    )


# ---- texts ------------------------------------------------------------------------------------------------------------

WRITTEN = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\t\n ", "a", "Hello", " Hello", "  Hello", "    Hello\n    world", "Hello ", "Hello  \n",
    "She said: \"I'd rather not; they've gone, it's late, we'll see, he'LL say 'twas fine.\"",
    "The listener's voxels (3, 14 and 1,592 of them) answered 0.25 s later...", "don't DON'T Don\u2019t I'm you're o'clock rock'n'roll",
    "3 33 333 3333 33333 1234567890 12e-3 0x1F \u0663\u0664 \u00bd \u2167 \u00b2\u00b3",
    "na\u00efve caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m \u212b \ufb01n \u1e9e\u00df \u0130I\u0131 \u017fun",
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002\u6211\u5011\u8b80\u66f8", "\u043e\u043d \u0441\u043b\u0443\u0448\u0430\u0435\u0442 \u0441\u043a\u0430\u0437\u043a\u0443",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643", "\u0928\u092e\u0938\u094d\u0924\u0947", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "\U0001f9e0\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f", "a\u00a0b\u3000c\u2003d\u2028e\u180ef\u200bg\u0085h",
    "<s> </s> <unk> <|endoftext|> <|begin_of_text|>x<|im_start|> <0x0A> [PAD]", "word <mask>  next <mask>.", "name<name>names <name> name",
    "\u2581low\u2581line", "\u0120\u010a\u00c4", "tab\tseparated\tvalues\r\nline two\rline three\n\n\n  indented",
    "https://example.org/a_b?c=d&e=%20#f", "if (x[i] != y->z) { return -1; } // C17", "!!!???...---***", "\ufeffmark", "\ufffd\ufffe\uffff",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " \u0301combining first",
]


def random_texts(count):
    """Strings over all planes, with blanks, letters and contractions between, so that the patterns have something to split."""
    generator, made = np.random.default_rng(20240501), []
    while len(made) < count:
        text = ""
        for _ in range(generator.integers(1, 13)):
            kind = generator.integers(0, 10)
            if kind < 2:
                text += chr(generator.integers(0x20, 0x7F))
            elif kind == 2:
                text += generator.choice([" ", " ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "'s", "'ll", " the", "12", "\u2581", "e\u0301"])
            elif kind < 6:
                text += chr(generator.integers(0x80, 0x3000))
            elif kind < 8:
                text += chr(generator.choice([generator.integers(0x3000, 0xD800), generator.integers(0xE000, 0x10000)]))
            else:
                text += chr(0x10000 * (1 + (len(made) + len(text)) % 16) + generator.integers(0, 0x10000))
        made.append(text)
    return made


# ---- small tokenizers of kinds whose files are not at hand, trained on this text -----------------------------------------

STORY = """
The model reads the story word by word. It's the listener who hears it: she's lying in the scanner, and every 2 seconds a volume is
taken. We ask which words the model's next word depends on, and how well that explains what the voxels do. There're 1,234 words in the
story; they've been timed by hand. I'd say that the earlier words matter less, don't you? The listeners' brains will tell: we'll see.
The gradient of the loss, the attention of the heads, the erasure of the words: each explanation is a table of numbers, one row a word.
The rows are shifted, stretched and summed until they look like the slow answer of the blood. Then a ridge regression finds the weights.
"""

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def added(content, number, **flags):
    keys = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": number, "content": content} | {key: flags.get(key, False) for key in keys}


def train(tokenizer, size, alphabet, special):
    trainer = BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([STORY], trainer)
    return json.loads(tokenizer.to_str())


def byte_level(pattern, normalizer, special, ignore_merges, trim):
    tokenizer = Tokenizer(BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    split = Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    file = train(tokenizer, 400, sorted(pre_tokenizers.ByteLevel.alphabet()), [])
    file["added_tokens"] = [added(s, len(file["model"]["vocab"]) + i, special=True) for i, s in enumerate(special)]
    processors_ = [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": trim, "use_regex": True}]
    if special[0] == "<|begin_of_text|>":
        name, sequence = {"SpecialToken": {"id": special[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
        other = {"Sequence": {"id": "B", "type_id": 1}}
        tokens = {special[0]: {"id": special[0], "ids": [file["added_tokens"][0]["id"]], "tokens": [special[0]]}}
        template = {"type": "TemplateProcessing", "single": [name, sequence], "pair": [name, sequence, name, other], "special_tokens": tokens}
        processors_.append(template)
    file["post_processor"] = {"type": "Sequence", "processors": processors_}
    return file


def metaspace():
    """The other kinds: characters with an unknown token, several normalizers, added tokens with every flag."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>", fuse_unk=True))
    steps = [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\p{M}+"), ""), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.decoder = decoders.Metaspace()
    file = train(tokenizer, 120, list("abcdefghijklmnopqrstuvwxyz0123456789.,!?-'\u2581"), ["<unk>"])
    size = len(file["model"]["vocab"])
    file["added_tokens"] += [
        added("<mask>", size, lstrip=True, special=True),
        added("<name>", size + 1, single_word=True),
        added("Don't", size + 2, normalized=True, rstrip=True),
        added("\n\n", size + 3),
    ]
    return file


def fallback():
    """SentencePiece's kind with a Split in front, without a decoder: byte fallback for a part of the bytes, unknown ones not fused."""
    letters = "\u2581eatoin"
    tokens = ["<unk>", "<s>"] + ["<0x%02X>" % b for b in range(0x20, 0xE3)] + list(letters) + ["\u2581t", "in", "\u2581to"]
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                  {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    split = {"type": "Split", "pattern": {"Regex": r"\b\p{Lu}|\h{2}|[^\w\s]+$"}, "behavior": "MergedWithNext", "invert": False}
    model = {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": False, "vocab": {t: i for i, t in enumerate(tokens)},
             "merges": ["\u2581 t", "i n", "\u2581t o"]}
    return {"version": "1.0", "added_tokens": [added("<s>", 1, special=True, normalized=True)], "normalizer": normalizer,
            "pre_tokenizer": split, "post_processor": None, "decoder": None, "model": model}


def write_small():
    folder = GOLDEN / "tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "llama3": byte_level(LLAMA3, None, ["<|begin_of_text|>", "<|end_of_text|>"], True, True),
        "qwen2": byte_level(QWEN2, normalizers.NFC(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], False, False),
        "metaspace": metaspace(),
        "fallback": fallback(),
    }
    for name, file in files.items():
        text = json.dumps(file, ensure_ascii=False, separators=(",", ":"))
        assert len(text.encode()) < 15000
        (folder / f"{name}.json").write_text(text + "\n")
    return {name: folder / f"{name}.json" for name in files}


# ---- goldens ----------------------------------------------------------------------------------------------------------


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF) - (1 << 32) * (crc < 1 << 31)  # as int32


def reference(path, texts):
    """For each text an array (tokens, 3): id, begin and end in bytes; and the text decoded again."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoded = []
    for text in texts:
        at = np.cumsum([0] + [len(c.encode()) for c in text])
        code = tokenizer.encode(text, add_special_tokens=False)
        rows = [(i, at[b], at[e]) for i, (b, e) in zip(code.ids, code.offsets)]
        encoded.append((np.array(rows, "<i4").reshape(-1, 3), tokenizer.decode(code.ids, skip_special_tokens=False)))
    return encoded


def main(data):
    texts = WRITTEN + random_texts(500)
    paths = {"gpt2": data / "tokenizers/gpt2/tokenizer.json", "llama2": data / "tokenizers/llama2/tokenizer.json",
             "stories260K": data / "stories260K/tokenizer.json"} | write_small()
    digests = []
    for name, path in paths.items():
        encoded = reference(path, texts)
        digests.append([crc32c(tokens.tobytes() + text.encode()) for tokens, text in encoded])
        written = [np.c_[np.full(len(tokens), i, "<i4"), tokens] for i, (tokens, _) in enumerate(encoded[: len(WRITTEN)])]
        if name in ("gpt2", "llama2", "stories260K"):
            np.save(GOLDEN / f"tokenizer_{name}.npy", np.concatenate(written).astype("<i4"))
    np.save(GOLDEN / "tokenizer_texts.npy", np.array([c for text in texts for c in [*map(ord, text), -1]], "<i4"))
    np.save(GOLDEN / "tokenizer_digests.npy", np.array(digests, "<i4"))


if __name__ == "__main__":
    assert tokenizers.__version__ == "0.23.3"
    if sys.argv[1:] == ["--table"]:
        write_table()
    else:
        main(Path(sys.argv[1]))
