"""A coverage-guided run of the event decoder: ``make fuzz``.

    python tests/fuzz/fuzz_decoder.py CORPUS_DIR -max_total_time=300

Atheris (libFuzzer) makes the inputs. The codec itself is compiled, so what guides it are the
branches of the oracle, Python's own JSON parser, to whose answer the codec is held.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SEEDS = (
    b'{"session_id":"s1","item_id":"i1","ts":1700000000000}',
    b'{"session_id":7,"item_id":-3,"ts":0,"type":"cart","seq":1,"features":{"a":"b"}}',
    b'{"session_id":"\\u00e9\\ud83d\\ude00","item_id":"\xc3\xa9","ts":1,"more":[1e3,null,{}]}',
    b"\0\0\0\0\1{}",
)


def main() -> int:
    """Runs libFuzzer until its limit or a finding; 77 where atheris is not installed."""
    try:
        import atheris
    except ModuleNotFoundError:
        print("make fuzz: atheris is not installed here: make fuzz sets up an environment for it")
        return 77
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root), str(root / "tests" / "fuzz")]
    for name in [n for n in sys.modules if n == "json" or n.startswith("json.")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["json", "session_rec.events", "event_oracle"]):
        from event_oracle import check
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        corpus = Path(sys.argv[1])
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(_SEEDS):
            (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup(sys.argv, lambda data: check(data) and None)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
