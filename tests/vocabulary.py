"""Find words of the project's old idiom in texts and names.

    python -m tests.vocabulary [PATH ...]

`DENIED` maps each word or phrase to the term to use instead, `DENIED_OPENINGS` the relative clauses
that must not open a docstring or a sentence. A finding is one line, `path:line: "text" -> term`;
the exit status is 1 if there is any. Without a path, every file of the repository is checked.
Names count as texts: `test_whoever_pays` and `WhoeverPays` contain "whoever".
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Regular expressions over lower-case words; a space also matches a wrapped line.
DENIED = {
    "came": "received / was",
    "wants?(?! to)|wanted|wanting": "expected / requires",
    "whoever|whomever|whosoever": "a client / a caller / a user",
    "nobody|no one": "no client / no caller",
    "somebody|someone": "a client / a user",
    "anew|afresh": "again",
    "told|tells?|telling": "report / log / return / state",
    "said|says?|saying": "report / log / return / state",
    "hears?|heard": "receive / is notified of",
    "doors?": "load shedding / the HTTP protocol",
    "lets? in": "accept / allow",
    "turned away|turns? away": "rejected / reject",
    "at one blow": "suddenly",
    "by heart": "cached",
    "kept for a look": "sampled",
    "look(?:s|ed)? again": "reload",
    "shelf|shelves": "retention",
    "soundings?": "attack trials",
    "hang-?ups?|hung up|hangs? up": "client disconnect",
    "farewells?": "draining",
    "in force": "active / in effect",
    "gives? way|gave way": "is replaced by",
    "asks? for|asked for|asking for": "request / require / select",
    "stands?(?! for)|stood": "is",
    "lies|lain": "is",
    "besides?": "next to / in addition to / except",
    "go(?:es)? on|going on|went on": "continue",
    "judge[sd]?|judging|judge?ments?": "predict / score / evaluate / decide",
    "climb(?:s|ed|ing|er)?": "maximize / minimize an objective; attack run",
    "processors?": "CPU",
    "apart(?! from)": "independent / separate",
    "collapse[sd]?": "catastrophic overfitting",
    "subjects?(?! to)": "evaluation target",
    "bench(?!-serving)": "evaluator",
    "catalogs?|catalogues?": "model registry",
    "wish|wishes|wished": "option / request",
    "all the same": "nevertheless / still",
    "for good(?=[.,;:])": "permanently",
    "in vain": "without effect",
    "be it": "whether",
    "graver?": "more severe",
}
# Relative clauses instead of a noun, in original case; a question (?) is allowed.
DENIED_OPENINGS = {
    r'(?<=""")(?:What|Who|Whose|How|When|Where|Which|Whatever)\b': ("an imperative, or a noun"),
    r"(?:(?<=[.:;] )|(?m:^) *(?:# |- )?)(?:What|Who)\b(?=[^?]*?[.:](?:\s|\"|\Z))": (
        "a sentence with a noun as its subject"
    ),
}

# Terms of other projects and formats that contain a denied word.
ALLOWED_TERMS = (
    r"(?:span|record|log) ?processors?",  # OpenTelemetry
    r"image ?processors?",  # Hugging Face
    r"alias=\"wanted\"",  # a field of evaluation.json
    r"border-collapse|\"collapsed?\"|collapsed=",  # CSS; Grafana's rows
    r"certificate subjects?|subject alt|subject first",
    r"\"wanted\"",  # a field of evaluation.json
    r"--beside",  # an option of `oodguard-train evaluate`
    r"tell\(\)",  # a method of io.IOBase
)
# Frozen files and the words of third parties.
SKIPPED = {
    "models/pretrained/": "the files of shipped bundles never change",
    "docs/reports/": "generated; the templates are checked, the names of CPUs are not ours",
    "service/static/": "third-party assets",
    "tests/data/": "third-party data",
    "docker/grafana/dashboards/": "generated from docker/grafana/boards, which is checked",
    "tests/vocabulary.py": "the list itself",
    "tests/docs/test_vocabulary.py": "the tests of the list",
}
# Between these lines a page may quote what it forbids.
QUOTED = re.compile(r"<!-- vocabulary: off -->.*?<!-- vocabulary: on -->", re.DOTALL)
# Pictures within a page: 40 characters or more of base64.
ENCODED = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".html", ".env", ".example"}
SUFFIXES |= {".Dockerfile", ".css", ".js", ".j2", ".txt", ".svg", ".lua"}
NAMES = {"Makefile", "run"}

_GAP = r'(?:\s|#|"\s*f?")+'


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{words.replace(' ', _GAP)})(?![a-z])")


_WORDS = [(_pattern(words), term) for words, term in DENIED.items()]
_OPENINGS = [(re.compile(pattern), term) for pattern, term in DENIED_OPENINGS.items()]
_ALLOWED = [_pattern(words) for words in ALLOWED_TERMS]


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def find(text: str, *, markdown: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the denied text and the term to use instead, in order of the rules.

    Args:
        text: what to check.
        markdown: whether `#` starts a heading, which may be a clause, and not a comment.
    """
    text = ENCODED.sub(_blank, QUOTED.sub(_blank, text))
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ").lower()
    for allowed in _ALLOWED:
        words = allowed.sub(_blank, words)
    for pattern, term in _WORDS:
        for match in pattern.finditer(words):
            yield words.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), term
    if markdown:
        text = re.sub(r"(?m)^#.*$", _blank, text)
    for pattern, term in _OPENINGS:
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.end()) + 1, match[0].strip(), term


def files(paths: Sequence[str]) -> Iterator[Path]:
    """Yield the checked files below the paths, as git lists them, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *paths],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in sorted(filter(None, listed.split("\0"))):
        path = Path(name)
        checked = path.suffix in SUFFIXES or path.name in NAMES
        if checked and not name.startswith(tuple(SKIPPED)) and (ROOT / path).is_file():
            yield path


def check(path: Path) -> Iterator[str]:
    """Yield the findings in one file and in its name."""
    for _, word, term in find(path.as_posix()):
        yield f'{path}:1: "{word}" in the path -> {term}'
    text = (ROOT / path).read_text(encoding="utf-8")
    for line, word, term in sorted(find(text, markdown=path.suffix == ".md")):
        yield f'{path}:{line}: "{word}" -> {term}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings and return the exit status."""
    parser = argparse.ArgumentParser(description="Find words of the project's old idiom.")
    parser.add_argument("paths", nargs="*", help="files or folders (default: the repository)")
    findings = [line for path in files(parser.parse_args(arguments).paths) for line in check(path)]
    sys.stdout.write("\n".join([*findings, f"{len(findings)} findings\n"]))
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
