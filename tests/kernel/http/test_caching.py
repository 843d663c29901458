import pytest
from starlette.requests import Request

from ossature.kernel.http.caching import PreconditionFailed, PreconditionRequired, require_match, tag_of

NOW = tag_of("client", 7)


def asked(*lines: str) -> Request:
    return Request({"type": "http", "headers": [(b"if-match", line.encode()) for line in lines]})


def test_a_tag_is_the_same_for_the_same_version_only() -> None:
    assert tag_of("client", 7) == NOW
    assert tag_of("client", 8) != NOW
    assert tag_of("a", "b") != tag_of("ab")
    assert NOW.startswith('"')
    assert NOW.endswith('"')


@pytest.mark.parametrize("line", [NOW, f"W/{NOW}", f'"other", {NOW}', "*", f"  {NOW}  "])
def test_a_change_for_the_present_version_is_let_through(line: str) -> None:
    require_match(asked(line), NOW)


@pytest.mark.parametrize("line", ['"other"', "", NOW.strip('"'), f'"{NOW}"'])
def test_a_change_for_another_version_is_refused_with_the_present_one(line: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        require_match(asked(line), NOW)
    assert refused.value.headers == {"ETag": NOW}


def test_several_lines_are_one_list() -> None:
    require_match(asked('"one"', NOW), NOW)


def test_a_change_that_names_no_version_is_refused_only_where_one_is_required() -> None:
    require_match(asked(), NOW)
    with pytest.raises(PreconditionRequired):
        require_match(asked(), NOW, required=True)
