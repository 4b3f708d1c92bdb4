"""Payloads as Shopify and WooCommerce document them, whole, for tests to change.

The shop sells in pounds, its prices include 20 % tax. Order 5001 is two blue mugs at 12.00 and
a vase at 30.00 less 6.00 by a code that Shopify spreads over the lines, and shipping of 4.80.
"""

import base64
import hashlib
import hmac
from typing import Any

import msgspec

Json = dict[str, Any]
ORDER_ID, MUG_LINE, VASE_LINE = 5001, 9001, 9002
MUGS_NET, VASE_NET = 16_660_000, 20_840_000  # micros: after the code, without tax


def body_of(payload: Json) -> bytes:
    """A payload as it is sent."""
    return msgspec.json.encode(payload)


def signed(secret: str, body: bytes) -> str:
    """Base64 HMAC-SHA256, written here anew so that the beacon's is held against another."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def money_set(amount: str, shown: str | None = None) -> Json:
    """An amount in pounds, and what the buyer saw in dollars."""
    return {
        "shop_money": {"amount": amount, "currency_code": "GBP"},
        "presentment_money": {"amount": shown or amount, "currency_code": "USD"},
    }


def shopify_line(
    line_id: int, name: str, quantity: int, price: str, discount: str, tax: str, **fields: Any
) -> Json:
    """An order line with all its fields; `price` is a unit's, tax included."""
    return {
        "id": line_id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line_id}",
        "attributed_staffs": [],
        "current_quantity": quantity,
        "fulfillable_quantity": quantity,
        "fulfillment_service": "manual",
        "fulfillment_status": None,
        "gift_card": False,
        "grams": 350,
        "name": name,
        "price": price,
        "price_set": money_set(price, "99.99"),
        "product_exists": True,
        "product_id": line_id + 100,
        "properties": [{"name": "engraving", "value": "for Ann"}],
        "quantity": quantity,
        "requires_shipping": True,
        "sku": f"SKU-{line_id}",
        "taxable": True,
        "title": name,
        "total_discount": "0.00",
        "total_discount_set": money_set("0.00"),
        "variant_id": line_id + 200,
        "variant_inventory_management": "shopify",
        "variant_title": "blue",
        "vendor": "Potters",
        "tax_lines": [
            {
                "channel_liable": False,
                "price": tax,
                "price_set": money_set(tax, "88.88"),
                "rate": 0.2,
                "title": "GB VAT",
            }
        ],
        "duties": [],
        "discount_allocations": [
            {
                "amount": discount,
                "amount_set": money_set(discount, "77.77"),
                "discount_application_index": 0,
            }
        ]
        if discount != "0.00"
        else [],
        **fields,
    }


def mugs(**fields: Any) -> Json:
    """Two mugs: 24.00 less 4.01, tax 3.33: worth 16.66."""
    return shopify_line(MUG_LINE, "Blue mug", 2, "12.00", "4.01", "3.33") | fields


def vase(**fields: Any) -> Json:
    """A vase: 30.00 less 4.99, tax 4.17: worth 20.84."""
    return shopify_line(VASE_LINE, "Vase", 1, "30.00", "4.99", "4.17") | fields


def shopify_order(**fields: Any) -> Json:
    """An order of two mugs and a vase, as orders/create tells it."""
    return {
        "id": ORDER_ID,
        "admin_graphql_api_id": f"gid://shopify/Order/{ORDER_ID}",
        "app_id": 580111,
        "billing_address": {"name": "Ann Smith", "address1": "1 High St", "phone": "555-625"},
        "browser_ip": "203.0.113.7",
        "buyer_accepts_marketing": True,
        "cancel_reason": None,
        "cancelled_at": None,
        "cart_token": "c1-token",
        "checkout_id": 901414060,
        "client_details": {"browser_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"},
        "closed_at": None,
        "confirmed": True,
        "contact_email": "ann@example.com",
        "created_at": "2026-03-01T10:00:05+01:00",
        "currency": "GBP",
        "current_subtotal_price": "45.00",
        "current_total_price": "49.80",
        "customer": {"id": 7007, "email": "ann@example.com", "first_name": "Ann"},
        "customer_locale": "en",
        "discount_applications": [
            {
                "target_type": "line_item",
                "type": "discount_code",
                "value": "9.0",
                "value_type": "fixed_amount",
                "allocation_method": "across",
                "target_selection": "all",
                "code": "SPRING",
            }
        ],
        "discount_codes": [{"code": "SPRING", "amount": "9.00", "type": "fixed_amount"}],
        "email": "ann@example.com",
        "financial_status": "paid",
        "fulfillment_status": None,
        "fulfillments": [],
        "line_items": [mugs(), vase()],
        "name": "#1001",
        "note": "leave at the door",
        "note_attributes": [
            {"name": "gift", "value": "yes"},
            {"name": "pinsphere_visitor", "value": "visitor-of-ann"},
        ],
        "number": 1,
        "order_number": 1001,
        "payment_gateway_names": ["bogus"],
        "phone": None,
        "presentment_currency": "USD",
        "processed_at": "2026-03-01T10:00:00+01:00",
        "refunds": [],
        "shipping_address": {"name": "Ann Smith", "city": "Leeds"},
        "shipping_lines": [
            {"id": 1, "title": "Post", "price": "4.80", "price_set": money_set("4.80")}
        ],
        "source_name": "web",
        "subtotal_price": "45.00",
        "tags": "",
        "tax_lines": [{"price": "8.30", "rate": 0.2, "title": "GB VAT"}],
        "taxes_included": True,
        "test": False,
        "total_discounts": "9.00",
        "total_line_items_price": "54.00",
        "total_outstanding": "0.00",
        "total_price": "49.80",
        "total_shipping_price_set": money_set("4.80"),
        "total_tax": "8.30",
        "total_tax_set": money_set("8.30"),
        "updated_at": "2026-03-01T10:00:06+01:00",
        **fields,
    }


def shopify_refund_line(line: Json, quantity: int, subtotal: str, tax: str) -> Json:
    """One line of a refund; `subtotal` is a number here, as Shopify writes it, tax included."""
    return {
        "id": line["id"] + 10_000,
        "line_item_id": line["id"],
        "line_item": line,
        "location_id": 1,
        "quantity": quantity,
        "restock_type": "return",
        "subtotal": float(subtotal),
        "subtotal_set": money_set(subtotal),
        "total_tax": float(tax),
        "total_tax_set": money_set(tax),
    }


def adjustment(amount: str, kind: str = "refund_discrepancy") -> Json:
    """An order adjustment: below 0 more was given back than the lines say, above 0 less."""
    return {
        "id": 4_221,
        "order_id": ORDER_ID,
        "refund_id": 6_001,
        "amount": amount,
        "amount_set": money_set(amount),
        "kind": kind,
        "reason": kind.replace("_", " ").capitalize(),
        "tax_amount": "0.00",
        "tax_amount_set": money_set("0.00"),
    }


def shopify_refund(*lines: Json, refund_id: int = 6001, **fields: Any) -> Json:
    """A refund, as refunds/create tells it."""
    return {
        "id": refund_id,
        "admin_graphql_api_id": f"gid://shopify/Refund/{refund_id}",
        "order_id": ORDER_ID,
        "created_at": "2026-03-05T12:00:00+01:00",
        "processed_at": "2026-03-05T12:00:00+01:00",
        "duties": [],
        "note": "one was broken",
        "order_adjustments": [],
        "refund_duties": [],
        "refund_line_items": list(lines),
        "refund_shipping_lines": [],
        "restock": True,
        "return": None,
        "transactions": [
            {"id": 1, "amount": "10.00", "kind": "refund", "status": "success", "test": False}
        ],
        "user_id": 548380009,
        **fields,
    }


def woocommerce_line(
    line_id: int, name: str, quantity: float, subtotal: str, total: str, **fields: Any
) -> Json:
    """An order line; amounts are the line's, without tax, before and after coupons."""
    return {
        "id": line_id,
        "name": name,
        "product_id": line_id + 100,
        "variation_id": 0,
        "quantity": quantity,
        "tax_class": "",
        "subtotal": subtotal,
        "subtotal_tax": "4.00",
        "total": total,
        "total_tax": "3.33",
        "taxes": [{"id": 1, "total": "3.33", "subtotal": "4.00"}],
        "meta_data": [],
        "sku": f"SKU-{line_id}",
        "price": 8.33,
        "image": {"id": "", "src": ""},
        "parent_name": None,
        **fields,
    }


def woocommerce_order(**fields: Any) -> Json:
    """The same order in WooCommerce: goods 37.50 without tax, shipping 4.00, tax 8.30."""
    return {
        "id": ORDER_ID,
        "parent_id": 0,
        "status": "processing",
        "currency": "GBP",
        "version": "9.4.1",
        "prices_include_tax": True,
        "date_created": "2026-03-01T10:00:00",
        "date_modified": "2026-03-01T10:00:06",
        "discount_total": "7.50",
        "discount_tax": "1.50",
        "shipping_total": "4.00",
        "shipping_tax": "0.80",
        "cart_tax": "7.50",
        "total": "49.80",
        "total_tax": "8.30",
        "customer_id": 7007,
        "order_key": "wc_order_abc",
        "billing": {"first_name": "Ann", "email": "ann@example.com", "phone": "555-625"},
        "shipping": {"first_name": "Ann", "city": "Leeds"},
        "payment_method": "bacs",
        "transaction_id": "",
        "customer_ip_address": "203.0.113.7",
        "customer_user_agent": "Mozilla/5.0",
        "created_via": "checkout",
        "customer_note": "leave at the door",
        "date_completed": None,
        "date_paid": "2026-03-01T10:00:05",
        "cart_hash": "abc",
        "number": "5001",
        "meta_data": [
            {"id": 1, "key": "_wc_order_attribution_device_type", "value": "Mobile"},
            {"id": 2, "key": "pinsphere_visitor", "value": "visitor-of-ann"},
            {"id": 3, "key": "_gift", "value": {"wrap": True}},
        ],
        "line_items": [
            woocommerce_line(MUG_LINE, "Blue mug", 2, "20.00", "16.66"),
            woocommerce_line(VASE_LINE, "Vase", 1, "25.00", "20.84"),
        ],
        "tax_lines": [{"id": 5, "rate_code": "GB-VAT-1", "tax_total": "7.50"}],
        "shipping_lines": [{"id": 6, "method_title": "Post", "total": "4.00"}],
        "fee_lines": [],
        "coupon_lines": [{"id": 7, "code": "spring", "discount": "7.50"}],
        "refunds": [],
        "date_created_gmt": "2026-03-01T09:00:00",
        "date_modified_gmt": "2026-03-01T09:00:06",
        "date_completed_gmt": None,
        "date_paid_gmt": "2026-03-01T09:00:05",
        "currency_symbol": "\u00a3",
        **fields,
    }
