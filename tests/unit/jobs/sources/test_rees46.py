import pytest

from jobs.sources.rees46 import make_layout, recognises

HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
)


def test_make_layout_category_is_the_code_else_the_number():
    [part] = make_layout().parts

    assert part.columns["category"] == "coalesce(category_code, category_id)"
    assert part.event_names == {
        "view": "product_view",
        "cart": "add_to_cart",
        "remove_from_cart": "remove_from_cart",
        "purchase": "purchase",
    }


@pytest.mark.parametrize(
    ("head", "is_known"),
    [
        ([HEADER, "2019-10-01 00:00:00 UTC,view,1,2,,,1.0,3,x"], True),
        ([HEADER + ",extra"], True),
        ([HEADER.replace("brand", "maker")], False),
        (["2019-10-01 00:00:00 UTC,view,1,2,,,1.0,3,x"], False),
        ([], False),
        (dict.fromkeys(HEADER.split(","), "VARCHAR"), False),
    ],
)
def test_recognises_needs_the_header(head, is_known):
    assert recognises("2019-Oct.csv", head) is is_known
