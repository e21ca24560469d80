"""What the columns of a table seem to mean."""

import json

import pytest

from jobs.sources.guessing import guess_event_type, guess_mapping
from jobs.sources.recognition import Head, take_sample
from jobs.sources.value_types import detect_decimal_mark, detect_time_format


def _guess(text, name="log.csv"):
    lines = tuple(line.strip() for line in text.strip().splitlines())
    return guess_mapping(take_sample(Head(name, lines=lines)), name)


def _guess_json(*records, name="log.jsonl"):
    return guess_mapping(take_sample(Head(name, lines=tuple(map(json.dumps, records)))), name)


def test_events_with_names_of_the_shops_own():
    guess = _guess(
        """
        Zeitstempel;Aktion;Kundennummer;Artikelnummer;Preis;Menge;E-Mail;Notiz
        01.02.2026 10:00;view;K1;A1;1.234,50;1;a@example.com;x
        13.02.2026 10:05;In Basket;K1;A1;9,90;2;b@example.com;y
        14.02.2026 10:06;Order Line;K2;A2;19,00;1;c@example.com;z
        15.02.2026 10:07;wobble;K2;A2;19,00;1;c@example.com;z
        """
    )

    assert guess.entity == "events"
    assert guess.columns == {
        "event_type": "Aktion",
        "occurred_at": "Zeitstempel",
        "user_id": "Kundennummer",
        "item_id": "Artikelnummer",
        "price": "Preis",
        "quantity": "Menge",
        "email": "E-Mail",
    }
    assert guess.event_names == {
        "view": "product_view",
        "In Basket": "add_to_cart",
        "Order Line": "purchase",
    }
    assert guess.unknown_names == ("wobble",)
    assert (guess.time_format, guess.decimal_mark) == ("%d.%m.%Y %H:%M", ",")
    assert guess.personal == ()
    assert guess.unread == ("Notiz",)


def test_events_whose_names_nobody_knows_are_custom():
    guess = _guess("ts,event,user_id,sku\n2026-01-01,foo,u1,s1\n2026-01-02,bar,u1,s1")

    assert guess.event_names == {"foo": "custom", "bar": "custom"}
    assert guess.unknown_names == ()
    assert "none of the events' names" in guess.notes[0]


def test_column_of_too_many_names_is_no_event_type():
    rows = "\n".join(f"2026-01-01,name {n},u1,s1,5" for n in range(80))

    guess = _guess(f"ts,event,user_id,sku,price\n{rows}")

    assert "event_type" not in guess.columns
    assert guess.constants == {"event_type": "purchase"}


@pytest.mark.parametrize(
    ("name", "header", "event_type"),
    [
        ("buys.csv", "session,ts,item,price", "purchase"),
        ("clicks.csv", "session,ts,item,category", "product_view"),
        ("clicks.csv", "session,ts,item,price", "product_view"),
        ("pages.csv", "session,ts,url,duration", "page_view"),
    ],
)
def test_events_without_names_are_of_one_type(name, header, event_type):
    guess = _guess(f"{header}\ns1,2026-01-01,x,3", name)

    assert guess.entity == "events"
    assert guess.constants == {"event_type": event_type}


def test_amount_of_a_line_is_no_price_of_a_piece():
    guess = _guess("customer_id,date,number,qty,dollar_value\n00001,19970101,1,2,11.77")

    assert guess.columns == {
        "occurred_at": "date",
        "user_id": "customer_id",
        "price": "dollar_value",
    }
    assert guess.time_format == "%Y%m%d"
    assert "so qty is not read" in " ".join(guess.notes)


def test_orders_of_a_shop():
    guess = _guess(
        """
        InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country,Currency
        536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,GB,GBP
        C536366,85123A,HOLDER,-1,2010-12-01 08:28:00,2.55,17850,GB,GBP
        """
    )

    assert guess.entity == "orders"
    assert guess.columns == {
        "order_id": "InvoiceNo",
        "ordered_at": "InvoiceDate",
        "user_id": "CustomerID",
        "item_id": "StockCode",
        "title": "Description",
        "price": "UnitPrice",
        "quantity": "Quantity",
        "currency": "Currency",
        "country": "Country",
    }
    assert guess.currency == "GBP"
    assert guess.time_format == "iso"


@pytest.mark.parametrize(
    ("name", "text", "entity"),
    [
        ("items.csv", "sku,name,unit_price,stock\nA,Mug,3.5,1", "items"),
        ("products.csv", "id,title,price\nA,Mug,3.5", "items"),
        ("crm.csv", "customer_id,email,country,gender\nK1,a@example.com,DE,f", "profiles"),
        (
            "optin.csv",
            "customer_id,purpose,status,date\nK1,marketing,opt_in,2026-01-01",
            "consents",
        ),
        ("tree.csv", "category_id,parent_id,label\n1,,a\n2,1,b", "categories"),
        (
            "props.csv",
            "product_id,attribute,value,date\n1,colour,red,2026-01-01",
            "item_properties",
        ),
        ("rates.csv", "currency,date,rate\nUSD,2026-01-01,0.9", "exchange_rates"),
        ("ab.csv", "user_id,experiment,variant,ts\nu,price,A,2026-01-01", "exposures"),
        ("mails.csv", "customer_id,event,ts,campaign\nu,opened,2026-01-01,spring", "messages"),
        ("recs.csv", "user_id,type,sku,slot,ts\nu,clicked,s,home,2026-01-01", "feedback"),
        ("log.csv", "user_id,type,sku,ts\nu,clicked,s,2026-01-01", "events"),
        ("log.csv", "user_id,type,sku,ts\nu,dismissed,s,2026-01-01", "feedback"),
    ],
)
def test_kind_of_thing_by_its_columns(name, text, entity):
    assert _guess(text, name).entity == entity


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1,2,3",
        "user_id,item_id\n1,2",  # without a time nobody knows when
        "ts,event\n2026-01-01,view",  # nobody did it
    ],
)
def test_table_that_says_nothing_is_no_guess(text):
    assert _guess(text) is None


def test_values_of_closed_lists_are_translated():
    guess = _guess(
        "customer_id,event,ts,channel\nu,opened,2026-01-01,Mail\nu,click,2026-01-02,push"
    )

    assert guess.values == {"message_type": {"opened": "open"}, "medium": {"Mail": "email"}}


def test_personal_columns_are_left_out_by_name_and_by_value_but_for_contacts():
    guess = _guess(
        """
        ts,event,customer,user_id,contact,sku,customer_name,client_ip,Phone,source
        2026-01-01,view,x@example.com,u1,+49 30 1234567,s1,Anna,192.0.2.7,030 1234,a
        2026-01-02,view,y@example.com,u2,0049 30 7654321,s1,Berta,192.0.2.8,030 4321,b
        """
    )

    assert guess.columns["user_id"] == "user_id"
    assert guess.columns["phone"] == "Phone"
    assert guess.personal == ("customer", "contact", "customer_name", "client_ip")
    assert guess.unread == ("source",)


def test_user_named_by_address_only_is_known_by_it():
    guess = _guess("ts,event,user,session,sku\n2026-01-01,view,x@example.com,s9,s1")

    assert guess.entity == "events"
    assert guess.columns["user_id"] == "user"
    assert guess.personal == ()


def test_list_of_customers_becomes_profiles_with_contacts():
    guess = _guess(
        """
        Kundennummer;E-Mail;Telefon;Vorname;Nachname;PLZ;Land;Stra\u00dfe
        1;a@example.com;0170 1;Anna;A;10115;DE;Weg 1
        2;b@example.com;0170 2;Berta;B;10117;DE;Weg 2
        """
    )

    assert guess.entity == "profiles"
    assert guess.columns == {
        "user_id": "Kundennummer",
        "email": "E-Mail",
        "phone": "Telefon",
        "country": "Land",
        "first_name": "Vorname",
        "last_name": "Nachname",
        "postal_code": "PLZ",
    }
    assert guess.personal == ("Stra\u00dfe",)


def test_event_names_that_could_be_personal_are_not_shown():
    guess = _guess("ts,event,user_id,sku\n2026-01-01,view,u,s\n2026-01-02,call 4930123456,u,s")

    assert guess.event_names == {"view": "product_view"}
    assert guess.unknown_names == ()


def test_nested_objects_and_lists_of_products():
    guess = _guess_json(
        {
            "id": "o1",
            "created_at": "2026-01-01T10:00:00Z",
            "type": "Order Completed",
            "customer": {"id": "u1", "email": "a@example.com"},
            "payment": {"id": "p1"},
            "total": 20.5,
            "products": [{"id": "s1", "name": "Mug", "price": 10.25, "quantity": 2}],
        }
    )

    assert guess.entity == "events"
    assert guess.each == "products"
    assert guess.columns == {
        "event_id": "id",
        "event_type": "type",
        "occurred_at": "created_at",
        "user_id": "customer.id",
        "email": "customer.email",
        "item_id": "each.id",
        "title": "each.name",
        "price": "each.price",
        "quantity": "each.quantity",
    }
    assert guess.personal == ()


def test_id_that_rows_share_is_no_event_id():
    guess = _guess("id,ts,event,user_id,sku\n1,2026-01-01,view,u,s\n1,2026-01-02,view,u,s")

    assert "event_id" not in guess.columns


def test_second_time_written_differently_is_left_out():
    guess = _guess("ts,received_at,event,user_id,sku\n1767225600,2026-01-01,view,u,s")

    assert guess.columns["occurred_at"] == "ts"
    assert "received_at" not in guess.columns
    assert guess.time_format == "epoch_s"
    assert "received_at could be received_at" in guess.notes[0]


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("event_type,occurred_at,user_id\nproduct_view,2026-01-01T00:00:00Z,u", "events"),
        ("user_id,purpose,state,recorded_at\nu,marketing,Yes,2026-01-01", "consents"),
    ],
)
def test_columns_named_as_the_lakes_need_no_mapping(text, entity):
    guess = _guess(text)

    assert (guess.entity, guess.is_canonical) == (entity, True)


@pytest.mark.parametrize(
    "text",
    [
        "event_type,occurred_at,user_id,item_id\nview,2026-01-01,u,s",  # an event type of its own
        "event_type,occurred_at,user_id,item_id\nproduct_view,01.02.2026,u,s",
    ],
)
def test_canonical_columns_with_other_values_need_a_mapping(text):
    assert _guess(text).is_canonical is False


@pytest.mark.parametrize(
    ("values", "time_format"),
    [
        (["2026-01-31", "2026-02-01 10:00"], "iso"),
        (["2026-01-31T10:00:00.123Z"], "iso"),
        (["2019-10-01 00:00:00 UTC"], "iso"),
        (["1767225600", "999999999"], "epoch_s"),
        (["1767225600.25"], "epoch_s"),
        (["1430623510000"], "epoch_ms"),
        (["1609459200000000"], "epoch_us"),
        (["1609459200000000000"], "epoch"),
        (["1767225600", "1430623510000"], "epoch"),
        (["20260131", "20260201"], "%Y%m%d"),
        (["20260131235959"], "%Y%m%d%H%M%S"),
        (["31.01.2026"], "%d.%m.%Y"),
        (["31/01/2026 23:59"], "%d/%m/%Y %H:%M"),
        (["01/31/2026 11:59 PM"], "%m/%d/%Y %I:%M %p"),
        (["17/May/2015:10:05:03 +0000"], "%d/%b/%Y:%H:%M:%S %z"),
        (["2026-01-31 10:00:00,123"], "%Y-%m-%d %H:%M:%S,%g"),
        (["20269999"], ""),
        (["42", "17"], ""),
        (["soon"], ""),
        ([], ""),
        (["2026-01-31"] * 97 + ["?"] * 3, "iso"),
        (["2026-01-31"] * 90 + ["?"] * 10, ""),
    ],
)
def test_detect_time_format(values, time_format):
    assert detect_time_format(values)[0] == time_format


@pytest.mark.parametrize(
    ("value", "is_unsure"), [("01/02/2026", True), ("31/01/2026", False), ("01.02.2026", False)]
)
def test_detect_time_format_tells_when_day_and_month_could_change_places(value, is_unsure):
    assert detect_time_format([value]) == (f"%d{value[2]}%m{value[2]}%Y", is_unsure)


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (["1", "-2"], ""),
        (["1", "2.5", "1e3"], "."),
        (["12,50", "3"], ","),
        (["1.234,50", "12,5"], ","),
        (["1.234.567", "2"], ","),
        (["1,234", "12"], None),  # a thousand, or one and a bit
        (["1,234.50"], None),
        (["12 EUR"], None),
        (["a"], None),
        ([], None),
    ],
)
def test_detect_decimal_mark(values, mark):
    assert detect_decimal_mark(values) == mark


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("purchase", "purchase"),
        ("Order Completed", "purchase"),
        ("productViewed", "product_view"),
        ("add-to-cart", "add_to_cart"),
        ("addtobaskett", "add_to_cart"),
        ("pv", "product_view"),
        ("view_cart", None),
        ("banner shown", None),
        ("debug ping", None),
        ("", None),
    ],
)
def test_guess_event_type(name, event_type):
    assert guess_event_type(name) == event_type
