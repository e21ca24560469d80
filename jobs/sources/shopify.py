r"""Shopify's CSV exports of orders and of customers.

Orders: one row per line item, and what is true of the whole order stands only in its first row, so the other rows look it up
there. Exports overlap: lines have ids made of the order's name and their place in it, and are loaded once. What changes after
an order was told first (it is refunded, or never paid) is told by one return without an item, whose id holds its amount; of
several for one order the newest counts.

A person is known by e-mail address, else by telephone number, of which only a pseudonym is kept.
"""

import csv

from jobs.sources.layout import Layout, Part

_ORDER_FIELDS = {
    "order_name": "Name",
    "created": "Created at",
    "line_name": "Lineitem name",
    "line_quantity": "Lineitem quantity",
    "line_price": "Lineitem price",
}
# Columns that an export lacks, by its age and the shop's plan.
_OPTIONAL_LINE_FIELDS = {
    "line_sku": "Lineitem sku",
    "line_discount": "Lineitem discount",
    "vendor": "Vendor",
}
_OPTIONAL_ORDER_FIELDS = {
    "shop_order_id": "Id",
    "email": "Email",
    "phone": "Phone",
    "billing_phone": "Billing Phone",
    "financial_status": "Financial Status",
    "paid": "Paid at",
    "fulfilled": "Fulfilled at",
    "cancelled": "Cancelled at",
    "accepts_marketing": "Accepts Marketing",
    "currency_code": "Currency",
    "subtotal": "Subtotal",
    "shipping_cost": "Shipping",
    "taxes": "Taxes",
    "total": "Total",
    "discount_code": "Discount Code",
    "discount_amount": "Discount Amount",
    "refunded_amount": "Refunded Amount",
    "payment_method": "Payment Method",
    "tags": "Tags",
    "source_name": "Source",
    "note_attributes": "Note Attributes",
    "shipping_country": "Shipping Country",
    "shipping_province": "Shipping Province",
    "billing_country": "Billing Country",
    "billing_province": "Billing Province",
}
_CUSTOMER_FIELDS = {
    "first_name": "First Name",
    "last_name": "Last Name",
    "zip": "Default Address Zip",
    "old_zip": "Zip",
    "phone": "Phone",
    "address_phone": "Default Address Phone",
    "accepts_email": "Accepts Email Marketing",
    "accepts_marketing": "Accepts Marketing",  # of older exports
    "accepts_sms": "Accepts SMS Marketing",
    "country_code": "Default Address Country Code",
    "province_code": "Default Address Province Code",
    "old_country_code": "Country Code",
    "old_province_code": "Province Code",
}
_BETWEEN = "chr(31)"  # stands between cells that are put into one
# An order that was never paid and will not be.
_UNPAID = (
    "(o_financial_status IN ('voided', 'expired') "
    "OR (o_cancelled IS NOT NULL AND o_financial_status IN ('pending', 'authorized')))"
)


def make_orders_layout() -> Layout:
    """The orders export: lines and returns of orders, what buyers consented to, and where they live."""
    return Layout(
        file_type="csv",
        fields=_ORDER_FIELDS | _OPTIONAL_LINE_FIELDS | _OPTIONAL_ORDER_FIELDS,
        optional=frozenset(_OPTIONAL_LINE_FIELDS | _OPTIONAL_ORDER_FIELDS),
        derived=_derive_order(),
        is_ordered=True,
        parts=(_lines(), _returns(), _order_profiles(), _order_consents()),
    )


def make_customers_layout() -> Layout:
    """The customers export: where customers live and what they consent to, as it is when the file is read."""
    person = _person("email", "coalesce(phone, address_phone)")
    return Layout(
        file_type="csv",
        fields={"email": "Email"} | _CUSTOMER_FIELDS,
        optional=frozenset(_CUSTOMER_FIELDS),
        derived={"person": person},
        parts=(
            Part(
                entity="profiles",
                where="person IS NOT NULL",  # a customer of the till, without a name
                columns={
                    "user_id": "person",
                    "email": "email",
                    "phone": "coalesce(phone, address_phone)",
                    "first_name": "first_name",
                    "last_name": "last_name",
                    "postal_code": "coalesce(zip, old_zip)",
                    "country": "upper(coalesce(country_code, old_country_code))",
                    "region": "coalesce(province_code, old_province_code)",
                },
            ),
            _customer_consents("marketing", "coalesce(accepts_email, accepts_marketing)"),
            _customer_consents("sms", "accepts_sms"),
        ),
    )


def recognises_orders(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file with the header of an orders export.

    Args:
        name: of the file.
        head: its first lines (text), or its columns and their types (Parquet).
    """
    return {*_ORDER_FIELDS.values()} <= _header(head)


def recognises_customers(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file with the header of a customers export; arguments as above."""
    header = _header(head)
    asks = {"Accepts Email Marketing", "Accepts Marketing"}
    return {"Email", "Total Spent", "Total Orders"} <= header and bool(asks & header)


def _header(head: list[str] | dict[str, str]) -> set[str]:
    if isinstance(head, dict) or not head:
        return set()
    return {name.strip() for name in next(csv.reader(head[:1]), [])}


def _derive_order() -> dict[str, str]:
    """Fields of the whole order (`o_...`), taken from its first row: a cell that is empty there is empty for the order."""
    cells = ", ".join(
        f"replace(coalesce({name}, ''), {_BETWEEN}, ' ')" for name in _OPTIONAL_ORDER_FIELDS
    )
    told = {
        f"o_{name}": f"split_part(order_cells, {_BETWEEN}, {number})"
        for number, name in enumerate(_OPTIONAL_ORDER_FIELDS, start=1)
    }
    told["o_financial_status"] = f"lower({told['o_financial_status']})"
    of_order = "OVER (PARTITION BY local_path, order_run ORDER BY row_number)"
    in_file = "OVER (PARTITION BY local_path ORDER BY row_number)"
    return {
        # An order that a file tells twice has its rows in two places.
        "order_starts": f"CASE WHEN order_name IS DISTINCT FROM lag(order_name) {in_file} THEN 'yes' END",
        "order_run": f"(count(order_starts) {in_file})::VARCHAR",
        "line_in_order": f"(row_number() {of_order})::VARCHAR",
        "order_cells": f"first_value(array_to_string([{cells}], {_BETWEEN})) {of_order}",
        "line_discounts": f"(sum({_number('line_discount')}) OVER (PARTITION BY local_path, order_run))::VARCHAR",
        "order_created": f"first_value({_instant('created')}) {of_order}",
        **told,
        "person": _person("o_email", "coalesce(o_phone, o_billing_phone)"),
        "country": "upper(coalesce(o_shipping_country, o_billing_country))",
        "region": "CASE WHEN o_shipping_country IS NOT NULL THEN o_shipping_province ELSE o_billing_province END",
        "returned": f"CASE WHEN {_number('o_refunded_amount')} > 0 THEN {_number('o_refunded_amount')} "
        f"WHEN {_UNPAID} AND {_number('o_total')} > 0 THEN {_number('o_total')} END::DECIMAL(18, 2)::VARCHAR",
    }


def _lines() -> Part:
    is_goods = "coalesce(line_name, line_quantity, line_price) IS NOT NULL"
    return Part(
        entity="orders",
        columns={
            # Not the column Id, which older exports lack: an order told by an old and a new one is the same order.
            "order_line_id": "order_name || ':' || line_in_order",
            "line_type": f"CASE WHEN {is_goods} THEN 'sale' ELSE 'adjustment' END",
            "ordered_at": "order_created",
            **_order_columns(),
            "item_id": "coalesce(line_sku, line_name)",
            "title": "line_name",
            "brand": "vendor",
            "price": "line_price",
            "quantity": "line_quantity",
            "discount": "line_discount",
            "amount": f"CASE WHEN NOT {is_goods} THEN '0' END",
            # The order's discount is told with those of its lines in it.
            "order_discount": f"CASE WHEN {_number('o_discount_amount')} IS NULL THEN o_discount_amount "
            f"ELSE greatest({_number('o_discount_amount')} - coalesce({_number('line_discounts')}, 0), 0)::VARCHAR END",
            "order_tax": "o_taxes",
            "order_shipping": "o_shipping_cost",
        },
        properties={
            "shop_order_id": "o_shop_order_id",
            "discount_code": "o_discount_code",
            "payment_method": "o_payment_method",
        },
    )


def _returns() -> Part:
    return Part(
        entity="orders",
        where="line_in_order = '1' AND returned IS NOT NULL",
        columns={
            "order_line_id": "order_name || ':return:' || returned",
            "line_type": "'return'",
            # When money went back is not told: at the last time that is.
            "ordered_at": f"coalesce({_instant('o_cancelled')}, {_instant('o_fulfilled')}, {_instant('o_paid')}, order_created)",
            **_order_columns(),
            "amount": "returned",
        },
    )


def _order_columns() -> dict[str, str]:
    """What lines and returns have alike."""
    return {
        "order_id": "order_name",
        "user_id": "person",
        "email": "o_email",
        "phone": "coalesce(o_phone, o_billing_phone)",
        "currency": "o_currency_code",
        "status": "o_financial_status",
        "is_test": r"CASE WHEN regexp_matches(o_payment_method, '(?i)bogus') "
        r"OR regexp_matches(o_tags, '(?i)(?:^|,)\s*test\s*(?:,|$)') THEN 'true' ELSE 'false' END",
        "channel": "o_source_name",
        "campaign": r"nullif(regexp_extract(o_note_attributes, '(?im)^utm_campaign: *(.*?)\s*$', 1), '')",
        "country": "country",
        "region": "region",
    }


def _order_profiles() -> Part:
    return Part(
        entity="profiles",
        where="line_in_order = '1' AND person IS NOT NULL AND country IS NOT NULL",
        columns={
            "user_id": "person",
            "email": "o_email",
            "phone": "coalesce(o_phone, o_billing_phone)",
            "country": "country",
            "region": "region",
            "updated_at": "order_created",
        },
    )


def _order_consents() -> Part:
    return Part(
        entity="consents",
        # An order without a time is rejected as an order, and not once more for this.
        where="line_in_order = '1' AND person IS NOT NULL AND order_created IS NOT NULL AND o_accepts_marketing IS NOT NULL",
        columns={
            "user_id": "person",
            "purpose": "'marketing'",
            "state": "o_accepts_marketing",
            "evidence": "'Accepts Marketing of a Shopify order'",
            "recorded_at": "order_created",
        },
    )


def _customer_consents(purpose: str, state: str) -> Part:
    """A consent of the customers export, which tells no times: `recorded_at` is left to the loader."""
    return Part(
        entity="consents",
        where=f"person IS NOT NULL AND {state} IS NOT NULL",
        columns={
            "user_id": "person",
            "purpose": f"'{purpose}'",
            "state": state,
            "evidence": "'Shopify customers export'",
        },
    )


def _person(email: str, phone: str) -> str:
    """SQL of who somebody is; exports write an apostrophe before a number (for spreadsheets)."""
    digits = rf"regexp_replace(regexp_replace({phone}, '[^0-9+]', '', 'g'), '^00', '+')"
    return f"coalesce({email}, nullif({digits}, ''))"


def _instant(text: str) -> str:
    """SQL of a time as ISO 8601 writes it: 2026-01-02 10:11:12 +0100 has a blank too many."""
    return rf"regexp_replace({text}, ' ?([+-]\d{{2}}):?(\d{{2}})$', '\1:\2')"


def _number(text: str) -> str:
    return f"TRY_CAST({text} AS DECIMAL(18, 6))"
