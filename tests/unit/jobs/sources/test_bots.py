import json
from importlib.resources import files
from time import perf_counter

import duckdb
import pytest

from jobs.sources import bots
from jobs.sources.bots import bot_pattern

PROGRAMS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "googlebot",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.71 "
    "Mobile Safari/537.36 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1",
    "WhatsApp/2.23.20.0 A",
    "curl/8.5.0",
    "Wget/1.21.4",
    "python-requests/2.32.3",
    "Python/3.12 aiohttp/3.9.5",
    "Go-http-client/2.0",
    "Java/17.0.9",
    "Apache-HttpClient/4.5.14 (Java/17.0.9)",
    "axios/1.7.2",
    "Scrapy/2.11.2 (+https://scrapy.org)",
    "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.6099.71 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36 GTmetrix",
    "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "PRTG Network Monitor (www.paessler.com)",
    "Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)",
    "nutch-1.4/Nutch-1.4",
    "HTTP_Request2/2.1.1 (http://pear.php.net/package/http_request2) PHP/5.3.2-1ubuntu4.19",
]
PEOPLE = [
    # Desktop
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 "
    "Edg/131.0.2903.86",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; AS; rv:11.0) like Gecko",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
    "Mozilla/5.0 (X11; Linux) AppleWebKit/538.15 (KHTML, like Gecko) Chrome/46.0.2490.86 Safari/538.15 Midori/0.5",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) coc_coc_browser/127.0.220 "
    "Chrome/121.0.6167.220 Safari/537.36",
    "Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10_5_6; en-us) AppleWebKit/528.16 (KHTML, like Gecko) Fluid/0.9.6 Safari/528.16",
    # Telephones and tablets
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.73 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 "
    "Safari/604.1 Ddg/16.6",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 "
    "Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0",
    "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.144 Mobile "
    "Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19 Build/PPR1.180610.011) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/88.0.4324.152 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 6.0; FEVER Build/MRA58K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/53.0.2785.124 "
    "Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 5.0; HTC Butterfly S 919d Build/LRX22G) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/43.0.2357.65 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 8.1.0; Panasonic ELUGA Ray 530) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/87.0.4280.101 "
    "Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.5.5 like Chrome/108.0.5359.220 "
    "Safari/537.36",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
    # Browsers within applications
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G100 "
    "Safari/604.1 MetaIAB Facebook",
    "Mozilla/5.0 (Linux; Android 10; SM-N976V Build/QP1A.190711.020; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/79.0.3945.136 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/255.0.0.33.121;]",
    "Mozilla/5.0 (Linux; Android 15; CPH2557 Build/AP3A.240617.008; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/142.0.7444.142 Mobile Safari/537.36 Instagram 406.0.0.58.159 Android (35/15; 480dpi; 1080x2400; OPPO; CPH2557)",
    "Mozilla/5.0 (Linux; Android 9; CPH1951 Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/83.0.4103.101 Mobile Safari/537.36 Viber/13.2.0.8",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "[Pinterest/iOS]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "Snapchat/12.92.0.44 (like Safari/8617.2.4.10.7, panda)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "GSA/321.0.640000000 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; PJZ110; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile "
    "Safari/537.36 XWEB/1160117 MMWEBSDK/20250201 MicroMessenger/8.0.57.2800(0x28003940) WeChat/arm64",
    # A shop's own application
    "okhttp/4.12.0",
    "MyShop/3.2.1 CFNetwork/1490.0.4 Darwin/23.2.0",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
]


def _hits(agent):
    return duckdb.execute("SELECT regexp_matches(?, ?)", [agent, bot_pattern()]).fetchone()[0]


def _list():
    return json.loads(
        files("crawleruseragents").joinpath("crawler-user-agents.json").read_text("utf-8")
    )


@pytest.mark.parametrize("agent", PROGRAMS)
def test_bot_pattern_program_is_found(agent):
    assert _hits(agent)


@pytest.mark.parametrize("agent", PROGRAMS)
def test_bot_pattern_program_in_lower_case_is_found(agent):
    assert _hits(agent.lower())


@pytest.mark.parametrize("agent", PEOPLE)
def test_bot_pattern_browser_of_a_person_is_not_found(agent):
    assert not _hits(agent)


def test_bot_pattern_every_known_agent_of_the_list_is_found():
    instances = [
        (entry["pattern"], agent)
        for entry in _list()
        if entry["pattern"] not in bots._PEOPLE
        for agent in entry.get("instances") or []
    ]
    con = duckdb.connect()
    con.execute("CREATE TABLE agents (pattern VARCHAR, agent VARCHAR)")
    con.executemany("INSERT INTO agents VALUES (?, ?)", instances)

    missed = con.execute(
        "SELECT pattern, agent FROM agents WHERE NOT regexp_matches(agent, ?)", [bot_pattern()]
    ).fetchall()

    assert len(instances) > 2000
    assert missed == []


def test_bot_pattern_names_that_people_carry_stand_in_the_list():
    # A name that the list has given up needs no exception any more.
    assert {entry["pattern"] for entry in _list()} >= bots._PEOPLE


@pytest.mark.parametrize(
    ("agent", "is_found"),
    [
        ("PlainAgent/1.0", True),
        ("Mozilla/5.0 (X11; Linux x86_64; PlainAgent)", True),
        ("Mozilla/5.0 (X11; Linux x86_64; ComplainAgent)", False),
        ("SneakyAgent/1.0", False),
        ("Sonic/1.0", True),
        ("Mozilla/5.0 (compatible; Sonic/1.0; help)", True),
        ("Mozilla/5.0 (Linux; Android 9; Sonic Build/PPR1)", False),
    ],
)
def test_bot_pattern_names_are_found_where_programs_have_them(monkeypatch, agent, is_found):
    entries = [
        {"pattern": "Plain-?Agent", "instances": ["PlainAgent/1.0"]},
        {"pattern": "Sneaky(?=Agent)", "instances": ["SneakyAgent/1.0"]},  # RE2 looks not ahead
        {"pattern": "Sonic", "instances": ["Sonic/1.0 (+http://example.com)"]},
    ]
    monkeypatch.setattr(bots, "_read_list", lambda: entries)

    pattern = bot_pattern.__wrapped__()

    assert duckdb.execute("SELECT regexp_matches(?, ?)", [agent, pattern]).fetchone() == (is_found,)


def test_bot_pattern_hundred_thousand_agents_take_seconds():
    # One name too many, and RE2 goes through the text name by name: two hundred times slower.
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE agents AS SELECT 'Mozilla/5.0 (Linux; Android 14; SM-' || i || ') AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/131.0.' || i || '.0 Mobile Safari/537.36' AS agent FROM range(100000) AS t(i)"
    )
    started = perf_counter()

    con.execute("SELECT count(*) FROM agents WHERE regexp_matches(agent, ?)", [bot_pattern()])

    assert perf_counter() - started < 5
