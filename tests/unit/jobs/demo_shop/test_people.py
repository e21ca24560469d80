import numpy as np

from jobs.demo_shop.people import PHONE_BLOCKS, write_phones
from jobs.sources.pseudonyms import canonical


def test_write_phones_every_way_is_the_same_number() -> None:
    written = write_phones(np.full(200, 250), np.random.default_rng(1))
    assert set(written) == {
        "+49 30 23125250",
        "+493023125250",
        "0049 30 23125 250",
        "00493023125250",
        "+49 30/23125250",
        "+49 (0)30 23125-250",
        "030/23125250",
        "030 23125 250",
    }
    assert {canonical("phone", str(text), "DE") for text in written} == {("phone", "+493023125250")}


def test_write_phones_numbers_run_through_the_blocks() -> None:
    phones = np.array([-1, 0, 999, 1_000, 5_199, 5_200, 65_199])
    written = write_phones(phones, np.random.default_rng(2))
    found = [canonical("phone", text, "DE") if text else None for text in written]
    assert found == [
        None,
        ("phone", "+493023125000"),
        ("phone", "+493023125999"),
        ("phone", "+496990009000"),
        ("phone", "+4917604069099"),
        ("phone", "+33199000000"),
        ("phone", "+33639989999"),
    ]
    assert sum(10**n for *_, n in PHONE_BLOCKS) == 65_200
