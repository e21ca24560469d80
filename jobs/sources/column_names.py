"""What files call things: names of columns, of events and of values, for `guessing.py`.

Names are compared by their letters and digits in lower case: `Customer-ID`, `customerId` and `customer_id` are one.
"""

import re
from collections.abc import Iterator

from jobs.sources.entities import EVENT_TYPES

# What files write where a column is meant: letters and digits only, the likeliest first.
_WHEN = (
    "eventtime", "eventtimestamp", "eventat", "eventdatetime", "timestamp", "ts", "datetime", "time", "createdat", "created",
    "eventdate", "date", "clienttime", "servertime", "zeitstempel", "zeitpunkt", "zeit", "datum",
)  # fmt: skip
TYPE_NAMES = ("eventtype", "eventname", "event", "action", "actiontype", "activity", "interaction", "behaviortype", "behavior",
         "type", "kind", "aktion")  # fmt: skip
_CATEGORY = ("category", "categorycode", "categoryname", "productcategory", "categorypath", "itemcategory", "department",
             "categoryid", "kategorie", "warengruppe", "producttype", "genre", "genres")  # fmt: skip
NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("eventid", "messageid", "insertid", "uuid", "id"),
    "occurred_at": ("occurredat", *_WHEN),
    "received_at": ("receivedat", "received", "ingestedat", "collectedat", "servertimestamp", "loadedat"),
    "event_type": TYPE_NAMES,
    "anonymous_id": ("anonymousid", "anonid", "visitorid", "cookieid", "deviceid", "browserid", "clientid", "distinctid",
                     "guestid", "userpseudoid", "visitor", "cookie"),
    "user_id": ("userid", "customerid", "customerno", "customernumber", "customerkey", "accountid", "memberid", "buyerid",
                "crmid", "uid", "customer", "user", "kundennummer", "kundennr", "kundenid"),
    "session_id": ("sessionid", "usersession", "visitid", "session", "sid"),
    "item_id": ("itemid", "productid", "sku", "productsku", "itemsku", "articleid", "articleno", "articlenumber", "stockcode",
                "asin", "variantid", "goodsid", "contentid", "materialno", "item", "product", "article", "artikelnummer",
                "artikelnr", "artikelid"),
    "title": ("title", "productname", "itemname", "producttitle", "itemtitle", "articlename", "name", "bezeichnung",
              "artikelbezeichnung", "description"),
    "description": ("description", "productdescription", "longdescription", "beschreibung"),
    "category": _CATEGORY,
    "brand": ("brand", "brandname", "vendor", "manufacturer", "marke", "hersteller"),
    "price": ("price", "unitprice", "itemprice", "productprice", "priceeach", "saleprice", "grossprice", "netprice",
              "einzelpreis", "preis"),
    "quantity": ("quantity", "qty", "units", "pieces", "itemquantity", "productquantity", "count", "menge", "anzahl"),
    "discount": ("discount", "linediscount", "itemdiscount", "discountamount", "rabatt"),
    "amount": ("amount", "linetotal", "lineamount", "itemrevenue", "totalprice", "total", "revenue", "sales", "dollarvalue",
               "value", "betrag", "umsatz"),
    "currency": ("currency", "currencycode", "waehrung"),
    "order_id": ("orderid", "orderno", "ordernumber", "ordernr", "transactionid", "invoiceno", "invoiceid", "invoicenumber",
                 "receiptid", "receiptno", "invoice", "order", "bestellnummer", "auftragsnummer", "rechnungsnummer",
                 "belegnummer"),
    "ordered_at": ("orderedat", "orderdate", "ordertime", "purchasedat", "purchasedate", "invoicedate", "transactiondate",
                   "transactiontime", "solddate", "bestelldatum", "rechnungsdatum", *_WHEN),
    "order_discount": ("orderdiscount",),
    "order_tax": ("ordertax",),
    "order_shipping": ("ordershipping", "shippingcost", "shippingamount", "versandkosten"),
    "status": ("status", "orderstatus", "financialstatus"),
    "is_test": ("istest", "testorder"),
    "line_type": ("linetype",),
    "search_query": ("searchquery", "searchterm", "query", "keyword", "keywords", "searchphrase", "suchbegriff"),
    "url_path": ("urlpath", "pagepath", "url", "pageurl", "pagelocation", "path", "uri", "page"),
    "referrer": ("referrer", "referer", "pagereferrer", "pagereferer"),
    "channel": ("channel", "utmmedium", "medium", "trafficsource", "utmsource", "marketingchannel"),
    "campaign": ("campaign", "utmcampaign", "campaignname", "campaignid", "kampagne"),
    "device": ("device", "devicetype", "devicecategory", "platform"),
    "country": ("country", "countrycode", "geocountry", "land"),
    "region": ("region", "georegion", "province", "bundesland"),
    "is_in_stock": ("isinstock", "instock", "isavailable", "available"),
    "available_from": ("availablefrom", "launchdate", "onlinefrom"),
    "available_until": ("availableuntil", "offlinefrom"),
    "valid_from": ("validfrom", "effectivefrom", *_WHEN),
    "valid_to": ("validto", "effectiveto"),
    "birth_year": ("birthyear", "yearofbirth", "geburtsjahr"),
    "gender": ("gender", "sex", "geschlecht"),
    "loyalty_tier": ("loyaltytier", "loyaltylevel", "tier", "membershiplevel"),
    "signed_up_at": ("signedupat", "signupat", "signupdate", "registeredat", "registrationdate", "joinedat", "joindate",
                     "membersince", "customersince", "createdat", "created"),
    "updated_at": ("updatedat", "updated", "modifiedat", "lastmodified", "lastupdated"),
    "purpose": ("purpose", "consentpurpose", "consenttype"),
    "state": ("state", "consentstate", "consentstatus", "consent", "status", "granted", "decision", "optin"),
    "evidence": ("evidence", "proof", "source"),
    "recorded_at": ("recordedat", "consentedat", "consentdate", "decidedat", *_WHEN),
    "message_type": ("messagetype", *TYPE_NAMES),
    "medium": ("medium", "messagechannel", "channel"),
    "message_id": ("messageid", "mailid", "mailingid", "sendid", "newsletterid"),
    "experiment_id": ("experimentid", "experiment", "experimentname", "testid", "testname", "abtest"),
    "variant_id": ("variantid", "variant", "variation", "variationid", "bucket", "arm", "testgroup"),
    "feedback_type": ("feedbacktype", *TYPE_NAMES),
    "rank": ("rank", "position"),
    "placement": ("placement", "slot", "widget"),
    "reason_code": ("reasoncode",),
    "model_version": ("modelversion",),
    "category_id": ("categoryid", "id", "category", "categorycode"),
    "parent_category_id": ("parentcategoryid", "parentid", "parentcategory", "parent"),
    "category_name": ("categoryname", "name", "title"),
    "property": ("property", "propertyname", "attribute", "attributename"),
    "value": ("value", "propertyvalue", "attributevalue"),
    "rate": ("rate", "exchangerate", "fxrate"),
}  # fmt: skip
# What the door turns into pseudonyms, or hands to the vault.
CONTACTS: dict[str, tuple[str, ...]] = {
    "email": ("email", "emailaddress", "mail", "mailaddress", "customeremail", "useremail", "contactemail", "buyeremail",
              "emailadresse", "mailadresse"),
    "phone": ("phone", "phonenumber", "phoneno", "telephone", "tel", "mobile", "mobilephone", "mobilenumber", "customerphone",
              "telefon", "telefonnummer", "handy", "handynummer", "mobil"),
    "first_name": ("firstname", "givenname", "vorname"),
    "last_name": ("lastname", "surname", "familyname", "nachname"),
    "postal_code": ("postalcode", "postcode", "zip", "zipcode", "plz"),
}  # fmt: skip
USER_AGENTS = ("useragent", "ua", "browseragent", "httpuseragent")
# Called just `id` in files of their kind.
NAMED_BY_ID = {"items": "item_id", "profiles": "user_id", "orders": "order_id"}
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Names that mean a thing only together with what they stand in: `product.id`, not `payment.id`.
TOO_GENERAL = {"id", "name", "type", "value", "time", "date", "path", "source", "state", "status", "title", "position",
                "count", "total", "created", "description", "category"}  # fmt: skip


# What names a person, or leads to one.
PERSONAL = re.compile(
    r".*e?mail(address|adresse)?|.*(phone|telefon|handy|fax)(no|number|nummer)?|tel|mobile?(no|number|nummer|phone)?"
    r"|.*(firstname|lastname|fullname|surname|givenname|familyname|middlename|vorname|nachname|username|nickname)"
    r"|(customer|user|client|contact|recipient|buyer|billing|shipping|kunden)name"
    r"|.*(street|strasse|address|adresse|postcode|postalcode|zip|zipcode|plz|iban|password|passport|ssn|vatid|taxid)\d?"
    r"|.*(dateofbirth|birthdate|birthday|geburtsdatum)|dob|.*ip(address|v4|v6)|ip|clientip|remoteip|userip|remoteaddr"
    r"|(geo)?(lat|lon|lng|latitude|longitude)|cardnumber|creditcard"
)


def keys_of(path: str) -> Iterator[str]:
    """What a path may be found by: all of it, then less and less of its end."""
    plain = path.lower().translate(_GERMAN)
    parts = [re.sub(r"[^a-z0-9]", "", part) for part in plain.split(".")]
    if parts[0] == "each":
        parts[0] = "item"  # `each.id` is an item's id
        yield "".join(parts)
        yield "".join(parts[1:])
        return
    yield "".join(parts)
    if len(parts) > 2:
        yield "".join(parts[-2:])
    if len(parts) > 1 and parts[-1] not in TOO_GENERAL:
        yield parts[-1]


def looks_personal(path: str) -> bool:
    """Whether a source column seems to name a person, by what it is called."""
    return any(PERSONAL.fullmatch(key) for key in keys_of(path))


# Event names by their letters and digits; what shops and trackers write beside the readers' own vocabularies.
EVENT_WORDS = {
    **{name.replace("_", ""): name for name in EVENT_TYPES},
    **dict.fromkeys(("view", "pv", "itemview", "viewproduct", "detail", "detailview", "productdetail", "pdp",
                     "productpage", "productdetailview", "viewdetail"), "product_view"),
    **dict.fromkeys(("pageview", "viewpage", "visit", "screenview"), "page_view"),
    **dict.fromkeys(("list", "listing", "categoryview", "viewcategory", "categorypage", "plp"), "list_view"),
    **dict.fromkeys(("cart", "atc", "addcart", "cartadd", "addedtocart", "addtobasket", "basket", "basketadd", "addtobag",
                     "inbasket"), "add_to_cart"),
    **dict.fromkeys(("cartremove", "removecart", "removefrombasket", "basketremove", "deletefromcart"), "remove_from_cart"),
    **dict.fromkeys(("fav", "favorite", "favourite", "wishlist", "wishlistadd", "addtofavorites", "addtofavourites"),
                    "add_to_wishlist"),
    **dict.fromkeys(("checkout", "startcheckout", "checkoutstart", "initiatecheckout"), "begin_checkout"),
    **dict.fromkeys(("buy", "bought", "purchased", "sale", "order", "ordered", "orderplaced", "placeorder",
                     "transaction", "orderline", "checkoutcomplete", "checkoutcompleted", "orderconfirmation"), "purchase"),
    **dict.fromkeys(("refunded", "return", "returned", "orderreturned"), "refund"),
    **dict.fromkeys(("searched", "sitesearch", "searchquery"), "search"),
    **dict.fromkeys(("rating", "rate", "reviewed", "writereview"), "review"),
    **dict.fromkeys(("signin", "loggedin", "userlogin"), "login"),
    **dict.fromkeys(("signup", "signedup", "register", "registered", "registration"), "identify"),
    **dict.fromkeys(("emailopened", "mailopen", "openemail"), "email_open"),
    **dict.fromkeys(("emailclicked", "mailclick", "clickemail"), "email_click"),
    **dict.fromkeys(("pushopened",), "push_open"),
}  # fmt: skip
# Near to a word above, and something else.
OTHER_EVENTS = {
    "viewcart",
    "cartview",
    "cartviewed",
    "viewbasket",
    "removefromwishlist",
    "unsubscribe",
}

# What sources write for the values of closed lists, where the loader does not know it yet.
SAID = {
    "message_type": {"opened": "open", "clicked": "click", "delivery": "delivered", "send": "sent", "bounced": "bounce",
                     "unsubscribed": "unsubscribe", "complained": "complaint", "spam": "complaint"},
    "feedback_type": {"view": "impression", "shown": "impression", "viewed": "impression", "clicked": "click",
                      "dismiss": "dismissal", "dismissed": "dismissal", "hide": "dismissal"},
    "medium": {"mail": "email", "e-mail": "email", "newsletter": "email", "text": "sms", "notification": "push"},
    "line_type": {"refund": "return", "returned": "return", "sold": "sale", "order": "sale"},
}  # fmt: skip
