#!/usr/bin/python3
"""Names that a source brings in or defines for itself and does not use: using-declarations, constants, types and functions.

Compilers and clang-tidy tell of them only in the file that they are given by name, and theirs is one that includes many of
ours: CMake's unity builds, clang_tidy.py.
"""

import re

import lint

# At the beginning of a line: what is of a namespace's.
DECLARATIONS = (
    re.compile(r"^using [\w:]*::(?P<name>\w+);", re.MULTILINE),
    re.compile(r"^using (?P<name>\w+) =", re.MULTILINE),
    re.compile(r"^(?:static )?(?:constexpr|const) [^=({;\n]*?\b(?P<name>\w+)(?:\[[^\]\n]*\])*(?: =|\{)", re.MULTILINE),
    re.compile(r"^(?:struct|class|enum class) (?P<name>\w+)(?: final)?(?: :[^{\n]*)? \{", re.MULTILINE),
    re.compile(r"^(?! |return\b|else\b|using\b)[\w:<>,&* ]+[ &*](?P<name>\w+)\([^;{}]*\) \{", re.MULTILINE),
)
# What others call by its name: googletest's printers.
CALLED = {"PrintTo"}
# What is in here is nobody's but the source's.
OWN = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)


def unused(text: str) -> list[tuple[int, str]]:
    """Lines and names."""
    code = lint.without_comments(text)
    own = [(match.start(1), match.end(1)) for match in OWN.finditer(text)]
    found = set()
    for pattern in DECLARATIONS:
        for match in pattern.finditer(text):
            name, at = match["name"], match.start("name")
            if name in CALLED:
                continue
            if not pattern.pattern.startswith("^using") and not any(begin <= at < end for begin, end in own):
                continue
            if len(re.findall(rf"\b{name}\b", code)) == 1:
                found.add((lint.line_of(text, at), name))
    return sorted(found)


def check() -> list[lint.Finding]:
    return [
        lint.Finding(path, line, f"`{name}` is used nowhere")
        for path in lint.files_with((".cc",))
        for line, name in unused(lint.read(path))
    ]


SAMPLE = """using std::vector;
using std::string;
using testing::Not;
using Mine = int;
namespace {
constexpr int kNever = 3;
constexpr std::string_view kOnce[] = {"kNever"};
struct Nobody {
};
class Somebody final : public Base {
};
bool IsNever(char c) { return kOnce[0][0] == c; }
void Used(Somebody s) {
}
}  // namespace
string Public() { return Used(); }  // Not vector
"""


def self_test() -> None:
    names = [name for _, name in unused(SAMPLE)]
    assert names == ["vector", "Not", "Mine", "kNever", "Nobody", "IsNever"], names


if __name__ == "__main__":
    lint.run(check, self_test)
