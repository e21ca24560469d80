"""From events to the JSON lines that a tracker would send.

A line is the concatenation of a head of constant width, which numpy fills in, and of fragments that
are looked up: all identities, products, pages and contexts are rendered once, not once an event.
"""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.demo_shop.catalogue import CATEGORIES, Array, Catalogue
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.consents import GRANTED, REFUSED, UNANSWERED
from jobs.demo_shop.customers import DAY_MS, REGIONS, Customers
from jobs.demo_shop.events import CHANNELS, Events, Step
from jobs.demo_shop.identities import MAIL_STEPS, Told, mix
from jobs.demo_shop.noise import DAMAGES, N_BOTS

EVENT_NAMES = {
    Step.PAGE: "Page Viewed",
    Step.LIST: "Product List Viewed",
    Step.SEARCH: "Products Searched",
    Step.VIEW: "Product Viewed",
    Step.WISH: "Product Added to Wishlist",
    Step.ADD: "Product Added",
    Step.REMOVE: "Product Removed",
    Step.CHECKOUT: "Checkout Started",
    Step.ORDER: "Order Completed",
    Step.SIGN_IN: "Signed In",
    Step.REFUND: "Order Refunded",
    Step.REVIEW: "Product Reviewed",
    Step.EMAIL_OPEN: "Email Opened",
    Step.EMAIL_CLICK: "Email Clicked",
}
# Sent by a server, not by a browser: no page, no user agent, no banner.
SERVER_STEPS = (Step.REFUND, *MAIL_STEPS)
_CHROME = "AppleWebKit/537.36 Chrome/138.0.0.0"
# Device and user agent, which is sent with "Mozilla/5.0" before it unless it names a tool.
_AGENTS = (
    ("mobile", "(iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"),
    ("mobile", f"(Linux; Android 15; Pixel 9) {_CHROME} Mobile Safari/537.36"),
    ("mobile", f"(Linux; Android 14; SM-S911B) {_CHROME} Mobile Safari/537.36"),
    ("desktop", f"(Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36"),
    ("desktop", "(Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("desktop", "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15"),
    ("desktop", "(X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("tablet", "(iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"),
    ("tablet", f"(Linux; Android 14; SM-X710) {_CHROME} Safari/537.36"),
    # The bots, in the order of their numbers; the last one pretends to be a browser.
    ("desktop", "(compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ("desktop", "(compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    ("desktop", "(compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    ("desktop", "(compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)"),
    ("mobile", f"(Linux; Android 6.0.1; Nexus 5X) {_CHROME} (compatible; Googlebot/2.1)"),
    ("desktop", "python-requests/2.32.3"),
    ("desktop", f"(Windows NT 6.1; Win64; x64) {_CHROME} Safari/537.36"),
)  # fmt: skip
AGENTS = tuple((d, f"Mozilla/5.0 {text}" if text[0] == "(" else text) for d, text in _AGENTS)
FIRST_BOT_AGENT = len(AGENTS) - N_BOTS
KIOSK_AGENT = FIRST_BOT_AGENT - 1  # an Android tablet
_NO_PAGE, _INNER_PAGE, _LANDING_PAGE = 0, 1, 2
_HEAD = np.dtype(
    [
        ("open", "S7"), ("id", "S4", 4),
        ("ts_key", "S8"), ("ts_day", "S11"), ("ts_time", "S8"), ("ts_ms", "S5"),
        ("received_key", "S14"), ("received_day", "S11"), ("received_time", "S8"),
        ("received_ms", "S5"), ("close", "S2"),
    ]
)  # fmt: skip


class LineRenderer:
    """Renders any rows of a set of events."""

    def __init__(
        self,
        config: DemoShopConfig,
        catalogue: Catalogue,
        customers: Customers,
        events: Events,
        told: Told,
        answers: Array,
        received_ms: Array,
        discounts_pct: Array,
        damages: Array,
    ) -> None:
        """Build the fragments; all arrays have one entry an event.

        Args:
            config: Period and seed.
            catalogue: All items.
            customers: All customers.
            events: What is logged.
            told: By which identifiers.
            answers: What the banner was told: `UNANSWERED`, `GRANTED`, `REFUSED`.
            received_ms: When the collector got it, ms after the first midnight.
            discounts_pct: Of order lines.
            damages: Indices into `DAMAGES`.
        """
        self._seed = config.seed
        self._events = events
        self._received_ms = received_ms
        self._damages = damages
        self._clock = _Clock(config)
        self._identities, self._identity = _identities(told, len(customers)), told.numbers
        self._payloads, self._payload = _payloads(catalogue, events)
        self._extras, self._extra = _extras(catalogue, events, discounts_pct)
        self._origins, self._origin = _origins(config, events)
        self._devices, self._device = _devices(customers, events, told, answers)

    def render(self, rows: Array) -> pl.Series:
        """Return one string a row, with its newline."""
        pieces = [
            self._heads(rows),
            self._identities.gather(self._identity[rows]),
            self._extras.gather(self._extra[rows]),
            self._payloads.gather(self._payload[rows]),
            self._origins.gather(self._origin[rows]),
            self._devices.gather(self._device[rows]),
        ]
        frame = pl.DataFrame([piece.alias(str(n)) for n, piece in enumerate(pieces)])
        lines = frame.select(pl.concat_str(pl.all()))["0"]
        damages = self._damages[rows]
        broken = np.flatnonzero(damages)
        if len(broken):
            lines = lines.scatter(broken, _damage(lines.gather(broken), damages[broken]))
        return lines

    def _heads(self, rows: Array) -> pl.Series:
        """Render id and times: 95 characters, whatever the event."""
        head = np.empty(len(rows), dtype=_HEAD)
        head["open"], head["close"] = b'{"id":"', b'",'
        head["ts_key"], head["received_key"] = b'","ts":"', b'","received":"'
        ids = mix(rows.astype(np.uint64), self._seed)
        for part in range(4):
            digits = (ids >> np.uint64(48 - 16 * part)) & np.uint64(0xFFFF)
            head["id"][:, part] = self._clock.hexadecimal[digits.astype(np.int64)]
        self._clock.fill(head, "ts", self._events.occurred_ms[rows])
        self._clock.fill(head, "received", self._received_ms[rows])
        width = _HEAD.itemsize
        offsets = np.arange(0, (len(rows) + 1) * width, width, dtype=np.int64)
        strings = pa.LargeStringArray.from_buffers(
            len(rows), pa.py_buffer(offsets), pa.py_buffer(head.view(np.uint8))
        )
        return pl.Series(strings)


class _Clock:
    """Tables that turn ms after the first midnight into ISO 8601 text, and 16 bits into hex."""

    def __init__(self, config: DemoShopConfig) -> None:
        days = [config.first_day + timedelta(days=d) for d in range(config.n_days + 3)]
        self.days = np.array([f"{day.isoformat()}T".encode() for day in days])
        seconds = (f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400))
        self.times = np.array([text.encode() for text in seconds], dtype="S8")
        self.milliseconds = np.array([f".{ms:03d}Z".encode() for ms in range(1_000)])
        hexadecimal = [f"{number:04x}".encode() for number in range(65_536)]
        self.hexadecimal = np.array(hexadecimal, dtype="S4")

    def fill(self, head: Array, name: str, times_ms: Array) -> None:
        days, within = np.divmod(times_ms, DAY_MS)
        seconds, milliseconds = np.divmod(within.astype(np.int32), np.int32(1_000))
        head[f"{name}_day"] = self.days[days]
        head[f"{name}_time"] = self.times[seconds]
        head[f"{name}_ms"] = self.milliseconds[milliseconds]


def _fragment(**fields: object) -> str:
    """Render `"key":value,` pairs, without braces."""
    return json.dumps(fields, separators=(",", ":"))[1:-1] + ","


def _identities(told: Told, n_customers: int) -> pl.Series:
    """Return who it is: one text for each combination of identifiers."""
    # The second device sends no user_id at all instead of null, as bots do: trackers differ.
    sends_null = (told.devices >= 0) & (told.devices < 2 * n_customers) & (told.devices % 2 == 0)
    no_user = pl.Series(np.where(sends_null, '"user_id":null,', "").tolist(), dtype=pl.String)
    device = pl.concat_str(pl.lit('"anonymous_id":"'), "anonymous_id", pl.lit('",'))
    user = pl.concat_str(pl.lit('"user_id":"'), "user_id", pl.lit('",'))
    email = pl.concat_str(pl.lit('"contact":{"email":"'), "email", pl.lit('"},'))
    text = device.fill_null("") + user.fill_null(pl.lit(no_user)) + email.fill_null("")
    return told.combinations.select(text.alias("text"))["text"]


def _payloads(catalogue: Catalogue, events: Events) -> tuple[pl.Series, Array]:
    """Return what happened to what on which page: one text for each step and argument."""
    names = [CATEGORIES[category].name for category in catalogue.categories]
    products = [
        {"product": {"id": i, "category": c, "brand": b, "price": p}, "currency": "EUR"}
        for i, c, b, p in zip(
            catalogue.item_ids, names, catalogue.brands, catalogue.prices.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    words = [kind.title.lower() for category in CATEGORIES for kind in category.kinds]
    pages: dict[Step, list[tuple[dict[str, object], str]]] = {
        Step.PAGE: [({}, "/")],
        Step.LIST: [({}, f"/c/{category.name}") for category in CATEGORIES],
        Step.SEARCH: [({"query": w}, f"/search?q={w.replace(' ', '+')}") for w in words],
        Step.CHECKOUT: [({}, "/checkout")],
        Step.SIGN_IN: [({}, "/account/login")],
        Step.EMAIL_OPEN: [({}, "")],
        Step.EMAIL_CLICK: [({}, "")],
    }
    item_paths = {Step.ADD: "/cart", Step.REMOVE: "/cart", Step.ORDER: "/checkout/thank-you"}
    texts: list[str] = []
    starts = np.zeros(max(Step) + 1, dtype=np.int64)
    for step, name in EVENT_NAMES.items():
        starts[step] = len(texts)
        by_item = [
            (product, item_paths.get(step, f"/p/{item_id}"))
            for product, item_id in zip(products, catalogue.item_ids, strict=True)
        ]
        for fields, path in pages.get(step, by_item):
            text = _fragment(event=name, **fields)
            # Left open: the referrer that follows belongs to the visit, not to the page.
            texts.append(text if step in SERVER_STEPS else f'{text}"page":{{"path":"{path}"')
    return pl.Series(texts), starts[events.steps] + events.arguments


def _extras(catalogue: Catalogue, events: Events, discounts_pct: Array) -> tuple[pl.Series, Array]:
    """Return quantity, order id and discount; most events share the empty text 0."""
    quantities = int(events.quantities.max(initial=0))
    shared = [""] + [_fragment(quantity=q) for q in range(1, quantities + 1)]
    index = events.quantities.astype(np.int64)
    rows = np.flatnonzero(events.orders)
    price = catalogue.prices[events.arguments[rows]] * events.quantities[rows]
    lines = pl.DataFrame(
        {
            "quantity": events.quantities[rows],
            "number": events.orders[rows],
            "discount": np.round(price * discounts_pct[rows] / 100, 2),
        }
    ).select(
        pl.format(
            '"quantity":{},"order_id":"o-{}",{}',
            "quantity",
            pl.col("number").cast(pl.String).str.zfill(7),
            pl.when(pl.col("discount") > 0)
            .then(pl.format('"discount":{},', "discount"))
            .otherwise(pl.lit("")),
        ).alias("text")
    )
    index[rows] = len(shared) + np.arange(len(rows))
    return pl.concat([pl.Series("text", shared), lines["text"]]), index


def _origins(config: DemoShopConfig, events: Events) -> tuple[pl.Series, Array]:
    """Return referrer and campaign: one text for each channel and kind of page."""
    n_weeks = (config.n_days + config.truth_days) // 7 + 1
    mails = [
        ("https://mail.example/", ("newsletter", "email", f"weekly-{week + 1:02d}"))
        for week in range(n_weeks)
    ]
    texts = []
    for referrer, tags in (*CHANNELS, *mails):
        utm = ""
        if tags is not None:
            utm = _fragment(utm=dict(zip(("source", "medium", "campaign"), tags, strict=True)))
        landing = json.dumps(referrer)
        # Within a visit no referrer is sent: it would be the shop itself.
        texts += [utm, f"}},{utm}", f',"referrer":{landing}}},{utm}']
    page = np.where(events.is_landing, _LANDING_PAGE, _INNER_PAGE)
    page = np.where(np.isin(events.steps, SERVER_STEPS), _NO_PAGE, page)
    return pl.Series(texts), events.channels.astype(np.int64) * 3 + page


def _devices(
    customers: Customers, events: Events, told: Told, answers: Array
) -> tuple[pl.Series, Array]:
    """Return device, place and consent: the end of the line."""
    banner = {UNANSWERED: None, GRANTED: True, REFUSED: False}
    texts = [
        _fragment(device=device, user_agent=agent, geo={"country": country, "region": region})
        + ("" if granted is None else _fragment(consent={"analytics": granted}))
        for device, agent in AGENTS
        for country, region, _ in REGIONS
        for granted in banner.values()
    ]
    texts.append(_fragment(device=None))
    n_kiosks = len(told.homes) - 2 * len(customers) - N_BOTS
    bots, kiosks = FIRST_BOT_AGENT + np.arange(N_BOTS), np.full(n_kiosks, KIOSK_AGENT)
    agents = np.concatenate([customers.agents.ravel(), bots, kiosks])
    regions = np.concatenate([customers.regions, np.arange(N_BOTS) % len(REGIONS)])[told.homes]
    index = (agents * len(REGIONS) + regions)[told.devices] * len(banner)
    # Where there is no device, a server has sent the line.
    index = index[told.numbers] + answers
    index = np.where(np.isin(events.steps, SERVER_STEPS), len(texts) - 1, index)
    return pl.Series([text[:-1] + "}\n" for text in texts]), index


def _damage(lines: pl.Series, damages: Array) -> pl.Series:
    """Break each line in its way; `damages` are indices into `DAMAGES`."""
    line = pl.col("line")
    length = line.str.len_chars()
    # Between 40 % and 80 % of the line, by its length, so that cuts fall in different fields.
    cut = (length * (40 + length % 41) // 100).cast(pl.UInt32)
    ways = {
        "truncated": line.str.head(cut) + "\n",
        "unknown_event": line.str.replace('"event":"[^"]*"', '"event":"Debug Ping"'),
        "missing_time": line.str.replace('"ts":"[^"]*",', ""),
        "bad_time": line.str.replace('"ts":"[^"]*"', '"ts":"31/02/26 noonish"'),
        "negative_price": line.str.replace('"price":', '"price":-', literal=True),
        "empty": pl.lit("\n"),
    }
    broken = line
    for name, way in ways.items():
        is_this = pl.col("damage") == DAMAGES.index(name)
        broken = pl.when(is_this).then(way).otherwise(broken)
    return pl.DataFrame({"line": lines, "damage": damages}).select(broken.alias("line"))["line"]
