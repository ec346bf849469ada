"""Fuzzing that follows the code: atheris (libFuzzer) on every oracle that takes bytes.

    python tests/fuzz/guided.py --seconds 60 [oracle …]

Each oracle runs in a process of its own, as libFuzzer never gives one back. Needs the extra `fuzz`,
which has wheels for Linux and some versions of Python; where it is missing this says so and ends well.
"""

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ORACLES = ("tokens", "requests", "documents")

SEEDS = {
    "target": [b"/book/1?a=b", b"/a%20b/%C3%A9", b"/assets/../book"],
    "host": [b"booking.example:80", b"[::1]:443"],
    "head": [b"GET /book HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"],
    "chunks": [b"\x035\r\nhello\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n"],
    "cookies": [b"a=b; queue-sale=x; __Host-pass-sale=y"],
    "return_to": [b"/book?x=1", b"https://www.booking.example/book"],
    "holes": [b"1-5,9-10"],
    "operators_words": [b"15m", b"2026-12-31T20:00+01:00", b"GET,HEAD /assets/"],
    "strict_json": [b'{"a":1,"cnf":{"jkt":"x"}}'],
}


def seeds_of(name: str) -> list[bytes]:
    from tests.support.oracles import tokens

    if name == "signed_payload":
        return [
            b'{"iss":"admission-gateway","aud":"sale","sub":"v","pos":7,"gen":3,"iat":1,"exp":2}'
        ]
    if name == "key_set":
        from gateway.tokens.jwks import jwks_document

        return [jwks_document(tokens.KEYS.public_keys())]
    return SEEDS.get(name, list(tokens.SEEDS))


def run_one(name: str, seconds: int) -> None:
    """Fuzz one oracle in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["gateway"]):
        for module in ORACLES:
            importlib.import_module(f"tests.support.oracles.{module}")
    from tests.support.fuzzing import GUIDED

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds_of(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [
            f"-max_total_time={seconds}",
            "-max_len=3000",
            "-timeout=5",
            "-print_final_stats=1",
            # What fails is printed; nothing is left lying about.
            f"-artifact_prefix={corpus}/",
        ]
        atheris.Setup([sys.argv[0], corpus, *limits], GUIDED[name])
        atheris.Fuzz()


def run_all(names: list[str], seconds: int) -> int:
    failed: list[str] = []
    for name in names:
        command = [sys.executable, __file__, "--only", name, "--seconds", str(seconds)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        said = ended.stderr.splitlines()
        runs = [line.split()[-1] for line in said if "number_of_executed_units" in line]
        print(f"{name:<24}{int(runs[0]) if runs else 0:>12,} inputs", flush=True)
        if ended.returncode:
            failed.append(name)
            print("\n".join(said[-40:]), ended.stdout[-4000:], flush=True)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracles", nargs="*")
    parser.add_argument("--seconds", type=int, default=30, help="for each oracle")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install '.[fuzz]'")
        return 0
    if asked.only:
        run_one(asked.only, asked.seconds)
    for module in ORACLES:
        importlib.import_module(f"tests.support.oracles.{module}")
    from tests.support.fuzzing import GUIDED

    return run_all(asked.oracles or sorted(GUIDED), asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
