import pytest

from oodguard.service.inference.int8 import has_int8_dot_products

X86 = "model name\t: AMD EPYC\nflags\t\t: fpu sse avx2 {extra}\n"


@pytest.mark.parametrize(
    ("cpu_info", "expected"),
    [
        (X86.format(extra="avx512f avx512_vnni"), True),
        (X86.format(extra="avx_vnni"), True),
        (X86.format(extra="avx512f avx512bw"), False),
        ("Features\t: fp asimd asimddp\n", True),
        ("Features\t: fp asimd\n", False),
        ("", True),
    ],
)
def test_int8_dot_products_are_detected_by_the_flags_of_the_cpu(
    cpu_info: str, expected: bool
) -> None:
    assert has_int8_dot_products(cpu_info) is expected
