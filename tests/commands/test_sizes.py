import pytest

from vidperc.commands.sizes import parse_bytes
from vidperc.errors import VidpercError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2GiB", 2 << 30),
        ("2G", 2 << 30),
        ("1.5g", 3 << 29),
        ("1500M", 1500 << 20),
        ("1500MB", 1_500_000_000),
        ("42", 42),
    ],
)
def test_amounts_of_memory(text, wanted):
    assert parse_bytes(text, "--max-memory") == wanted


@pytest.mark.parametrize("text", ["", "much", "2 GiBs", "-1G", "1e9"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(VidpercError, match=r"--max-memory .*wanted such as 2GiB"):
        parse_bytes(text, "--max-memory")
