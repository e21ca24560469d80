"""The shop's facts as GA4, Segment, Snowplow and Shopify would write them down."""

import csv
import json
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.samples.one_shop.facts import CURRENCY, ORDERS, REFUNDS, STEPS, Item, Line, Order

# The pipeline's columns that the shop fills; `tests/unit/jobs/sources/test_snowplow.py` holds the places of some.
SNOWPLOW_COLUMNS = {
    "app_id": 0, "platform": 1, "collector_tstamp": 3, "event": 5, "event_id": 6, "user_id": 12, "domain_userid": 15,
    "page_urlpath": 35, "contexts": 52, "unstruct_event": 58, "derived_tstamp": 124, "event_vendor": 125, "event_name": 126,
}  # fmt: skip
COUNT_SNOWPLOW_COLUMNS = 131
SNOWPLOW = "com.snowplowanalytics.snowplow"

SHOPIFY_HEADER = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,"
    "Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,"
    "Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,"
    "Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,Billing Zip,"
    "Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,Shipping Address1,Shipping Address2,"
    "Shipping Company,Shipping City,Shipping Zip,Shipping Province,Shipping Country,Shipping Phone,Notes,Note Attributes,"
    "Cancelled at,Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,Location,Device ID,"
    "Id,Tags,Risk Level,Source,Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,Tax 3 Name,Tax 3 Value,"
    "Tax 4 Name,Tax 4 Value,Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,Billing Province Name,"
    "Shipping Province Name,Payment ID,Payment Terms Name,Next Payment Due At,Payment References"
)

PATHS = {"view": "/item", "cart": "/cart", "checkout": "/checkout", "search": "/search"}
THANKS = "/thanks"


def _person(customer: int) -> str:
    return f"C-{customer}"


def _device(customer: int) -> str:
    return f"device-{customer}"


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _piece_price(line: Line) -> Decimal:
    return line.item.price - line.piece_discount


def write_ga4(folder: Path) -> None:
    """One file a day. Prices are those after the discount on the item; integers are strings."""
    days: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(
        name: str, customer: int, at: datetime, path: str, is_known: bool = True, **more: Any
    ) -> None:
        told = {"currency": CURRENCY, "page_location": f"https://shop.example.com{path}?x=1"}
        told |= more.pop("told", {})
        event = {
            "event_date": f"{at:%Y%m%d}",
            "event_timestamp": str(int(at.timestamp() * 1_000_000)),
            "event_name": name,
            "event_params": [
                {"key": key, "value": {"string_value": value}} for key, value in told.items()
            ],
            "user_pseudo_id": _device(customer),
            "user_id": _person(customer) if is_known else None,
            **more,
        }
        days[f"{at:%Y%m%d}"].append(event)

    def item(line: Line) -> dict[str, Any]:
        item = line.item
        categories = {
            f"item_category{level or ''}": name
            for level, name in zip(("", 2, 3), item.categories, strict=False)
        }
        return {
            "item_id": item.item_id, "item_name": item.title, "item_brand": item.brand, **categories,
            "price": str(_piece_price(line)), "quantity": str(line.quantity),
            "item_params": [{"key": "discount", "value": {"double_value": float(line.piece_discount)}}],
        }  # fmt: skip

    names = {"view": "view_item", "cart": "add_to_cart", "checkout": "begin_checkout", "search": "view_search_results"}  # fmt: skip
    for step in STEPS:
        items = [item(Line(step.line.item, step.line.quantity))] if step.line else []
        told = {"search_term": step.query} if step.query else {}
        add(
            names[step.kind],
            step.customer,
            step.at,
            PATHS[step.kind],
            step.is_known,
            items=items,
            told=told,
        )
    for order in ORDERS:
        ecommerce = {"transaction_id": order.order_id, "purchase_revenue": str(order.goods),
                     "tax_value": float(order.tax), "shipping_value": float(order.shipping)}  # fmt: skip
        add("purchase", order.customer, order.at, THANKS, items=[item(line) for line in order.lines], ecommerce=ecommerce,
            told={"discount": str(order.discount)})  # fmt: skip
    for refund in REFUNDS:
        ecommerce = {"transaction_id": refund.order.order_id, "refund_value": str(refund.amount)}
        items = [item(refund.line)] if refund.line else []
        add("refund", refund.order.customer, refund.at, THANKS, items=items, ecommerce=ecommerce)
    for day, events in days.items():
        _write_lines(folder / f"events_{day}.jsonl", events)


def write_segment(folder: Path) -> None:
    """One file of calls. A line's discount stands in its product, and in the order's discount with the rest."""
    calls: list[dict[str, Any]] = []

    def add(
        event: str, customer: int, at: datetime, path: str, is_known: bool = True, **properties: Any
    ) -> None:
        calls.append(
            {
                "type": "track", "event": event, "messageId": f"message-{len(calls)}", "anonymousId": _device(customer),
                "userId": _person(customer) if is_known else None, "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
                "properties": properties, "context": {"page": {"path": path}},
            }
        )  # fmt: skip

    def product(line: Line) -> dict[str, Any]:
        item = line.item
        told = {"product_id": item.item_id, "name": item.title, "brand": item.brand, "category": "/".join(item.categories),
                "price": float(item.price), "quantity": line.quantity}  # fmt: skip
        return told | ({"discount": float(line.discount)} if line.discount else {})

    names = {"view": "Product Viewed", "cart": "Product Added", "checkout": "Checkout Started", "search": "Products Searched"}  # fmt: skip
    for step in STEPS:
        told = product(Line(step.line.item, step.line.quantity)) if step.line else {}
        told |= {"query": step.query} if step.query else {}
        add(
            names[step.kind],
            step.customer,
            step.at,
            PATHS[step.kind],
            step.is_known,
            currency=CURRENCY,
            **told,
        )
    for order in ORDERS:
        discounts = order.discount + sum(line.discount for line in order.lines)
        add("Order Completed", order.customer, order.at, THANKS, order_id=order.order_id, currency=CURRENCY,
            total=float(order.total), revenue=float(order.goods + discounts), tax=float(order.tax),
            shipping=float(order.shipping), discount=float(discounts), products=[product(line) for line in order.lines])  # fmt: skip
    for refund in REFUNDS:
        lines = (refund.line,) if refund.line else refund.order.lines
        add("Order Refunded", refund.order.customer, refund.at, THANKS, order_id=refund.order.order_id, currency=CURRENCY,
            total=float(refund.amount), products=[product(line) for line in lines])  # fmt: skip
    _write_lines(folder / "calls.jsonl", calls)


def write_snowplow(folder: Path) -> None:
    """One file of enriched events. A product has the price that is paid, and beside it the one before any discount."""
    lines: list[str] = []

    def data(vendor: str, name: str, told: Any) -> dict[str, Any]:
        return {"schema": f"iglu:{vendor}/{name}/jsonschema/1-0-0", "data": told}

    def add(event: tuple[str, str, Any], customer: int, at: datetime, path: str, is_known: bool = True,
            entities: tuple[Any, ...] = ()) -> None:  # fmt: skip
        vendor, name, told = event
        number = len(lines) + 1
        cells = {
            "app_id": "shop", "platform": "web", "event": "unstruct", "event_id": str(UUID(int=number)), "event_name": name,
            "event_vendor": vendor, "collector_tstamp": f"{at:%Y-%m-%d %H:%M:%S}.000",
            "derived_tstamp": f"{at:%Y-%m-%d %H:%M:%S}.000", "user_id": _person(customer) if is_known else "",
            "domain_userid": _device(customer), "page_urlpath": path,
            "contexts": json.dumps(data(SNOWPLOW, "contexts", list(entities)), ensure_ascii=False),
            "unstruct_event": json.dumps(data(SNOWPLOW, "unstruct_event", data(vendor, name, told))),
        }  # fmt: skip
        row = [""] * COUNT_SNOWPLOW_COLUMNS
        for column, place in SNOWPLOW_COLUMNS.items():
            row[place] = cells[column]
        lines.append("\t".join(row))

    def action(type_: str) -> tuple[str, str, Any]:
        return f"{SNOWPLOW}.ecommerce", "snowplow_ecommerce_action", {"type": type_}

    def entity(kind: str, **told: Any) -> dict[str, Any]:
        return data(f"{SNOWPLOW}.ecommerce", kind, told)

    def product(line: Line) -> dict[str, Any]:
        item = line.item
        return entity(
            "product", id=item.item_id, name=item.title, brand=item.brand, category="/".join(item.categories),
            price=float(_piece_price(line)), list_price=float(item.price), quantity=line.quantity, currency=CURRENCY,
        )  # fmt: skip

    for step in STEPS:
        products = (product(Line(step.line.item, step.line.quantity)),) if step.line else ()
        events = {
            "view": action("product_view"),
            "cart": action("add_to_cart"),
            "checkout": action("checkout_step"),
            "search": (SNOWPLOW, "site_search", {"terms": step.query.split()}),
        }
        steps = (entity("checkout_step", step=1),) if step.kind == "checkout" else ()
        add(
            events[step.kind],
            step.customer,
            step.at,
            PATHS[step.kind],
            step.is_known,
            (*products, *steps),
        )
    for order in ORDERS:
        told = entity(
            "transaction", transaction_id=order.order_id, revenue=float(order.total), currency=CURRENCY,
            payment_method="card", total_quantity=sum(line.quantity for line in order.lines), tax=float(order.tax),
            shipping=float(order.shipping), discount_amount=float(order.discount),
        )  # fmt: skip
        products = tuple(product(line) for line in order.lines)
        add(action("transaction"), order.customer, order.at, THANKS, entities=(told, *products))
    for refund in REFUNDS:
        told = entity(
            "refund",
            transaction_id=refund.order.order_id,
            refund_amount=float(refund.amount),
            currency=CURRENCY,
        )
        products = (product(refund.line),) if refund.line else ()
        add(action("refund"), refund.order.customer, refund.at, THANKS, entities=(told, *products))
    (folder / "enriched.tsv").write_text("\n".join(lines) + "\n")


def write_shopify(folder: Path) -> None:
    """One orders export. It knows no visits, and of a refund only its amount."""
    refunded = {refund.order.order_id: refund for refund in REFUNDS}

    def time(at: datetime) -> str:
        return f"{at + timedelta(hours=1):%Y-%m-%d %H:%M:%S} +0100"

    def of_order(order: Order) -> dict[str, Any]:
        refund = refunded.get(order.order_id)
        status = "paid" if refund is None else "partially_refunded" if refund.line else "refunded"
        return {
            "Email": f"customer{order.customer}@example.com", "Financial Status": status, "Paid at": time(order.at),
            "Currency": CURRENCY, "Subtotal": order.goods, "Shipping": order.shipping, "Taxes": order.tax,
            "Total": order.total, "Discount Amount": order.discount + sum(line.discount for line in order.lines),
            "Payment Method": "Shopify Payments", "Refunded Amount": refund.amount if refund else Decimal("0.00"),
            "Id": 5000 + int(order.order_id[1:]), "Source": "web",
        }  # fmt: skip

    def of_line(item: Item, line: Line) -> dict[str, Any]:
        return {
            "Lineitem quantity": line.quantity, "Lineitem name": item.title, "Lineitem price": item.price,
            "Lineitem sku": item.item_id, "Lineitem discount": line.discount, "Vendor": item.brand,
        }  # fmt: skip

    with (folder / "orders_export.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SHOPIFY_HEADER.split(","))
        writer.writeheader()
        for order in reversed(ORDERS):  # the newest first
            for number, line in enumerate(order.lines):
                writer.writerow(
                    {
                        "Name": order.order_id,
                        "Created at": time(order.at),
                        **of_line(line.item, line),
                    }
                    | (of_order(order) if number == 0 else {})
                )
