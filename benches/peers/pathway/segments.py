"""The twenty segments, in the order of `benches/support/definitions.yaml`."""

import pathway as pw


def mask(of: pw.Table) -> pw.ColumnExpression:
    """One bit for each segment that a customer with these aggregates is in."""
    segments = (
        of.orders >= 1,
        of.orders >= 3,
        of.orders >= 10,
        of.ltv > 500.0,
        of.ltv > 5000.0,
        of.largest > 400.0,
        of.largest > 550.0,
        of.last_checkout_at > of.last_order_at,
        (of.views >= 5) & (of.orders == 0),
        of.views >= 20,
        of.views_1d >= 2,
        of.views_1d >= 5,
        of.views_7d >= 5,
        of.views_7d >= 20,
        of.orders_30d >= 1,
        of.orders_30d >= 3,
        of.spent_7d > 300.0,
        of.spent_7d > 1000.0,
        (of.orders >= 1) & (of.views_7d >= 1),
        (of.orders >= 1) & (of.views_7d == 0) & (of.orders_30d == 0),
    )
    bits = (pw.cast(int, is_in) * (1 << place) for place, is_in in enumerate(segments))
    return sum(bits)
