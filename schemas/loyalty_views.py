"""The views on the fan club, on how deep relationships are, and on retention."""

from schemas.models import DEFAULT_MODEL

# "Half of the customers are lost in five years": 1 - 0.5 ** (1 / 5) a year.
HALF_LIFE_YARDSTICK, YEARLY_YARDSTICK = 60.0, 0.1294494367


def _exact(*columns: str) -> str:
    """Floats as decimals: PostgreSQL rounds these to places, and no floats."""
    return ", ".join(f"CAST({column} AS numeric) AS {column.split('.')[-1]}" for column in columns)


LOYALTY_VIEWS = {
    "fan_club": f"""
        SELECT site_id, top_percent, pinners, credited_micros, credited,
          credited_micros * 1.0 / NULLIF(sales_micros, 0) AS share_of_sales,
          {_exact("share_low", "share_high", "n_effective")}, ci_low_micros, ci_high_micros,
          own_micros, own, own_micros * 1.0 / NULLIF(sales_micros, 0) AS own_share_of_sales,
          by_or_through_micros, by_or_through,
          by_or_through_micros * 1.0 / NULLIF(sales_micros, 0) AS by_or_through_share_of_sales
        FROM current_fan_clubs
        WHERE model = '{DEFAULT_MODEL}' AND ranked_by = 'credited' AND top_percent IN (1, 5, 10)""",
    "lorenz_curve": f"""
        SELECT f.site_id, f.model, f.ranked_by, f.top_percent, f.pinners, f.amount_micros,
          f.amount_micros * 1.0 / NULLIF(c.total_micros, 0) AS share_of_all,
          f.amount_micros * 1.0 / NULLIF(f.sales_micros, 0) AS share_of_sales,
          {_exact("f.share_low", "f.share_high", "f.n_effective")}
        FROM (
          SELECT *, CASE ranked_by WHEN 'own' THEN own_micros ELSE credited_micros END
            AS amount_micros
          FROM current_fan_clubs
        ) f
        JOIN current_concentrations c ON c.site_id = f.site_id AND c.model = f.model
          AND c.ranked_by = f.ranked_by""",
    "concentration": f"""
        SELECT site_id, model, ranked_by, pinners, pinners_above_zero, total_micros, total,
          {_exact("gini", "gini_low", "gini_high", "n_effective")}
        FROM current_concentrations""",
    "relationship_depth": """
        SELECT d.site_id, d.people_from, d.depth, d.pinners, d.people,
          d.people * 1.0 / r.people AS share_of_people,
          d.pinners * 1.0 / r.pinners AS share_of_pinners,
          d.people * 1.0 / r.pinners AS people_per_pinner,
          d.visits * 1.0 / d.people AS visits_per_person,
          d.pins, d.influenced_micros, d.influenced,
          d.influenced_micros / 1000000.0 / d.people AS influenced_per_person
        FROM current_relationship_depths d
        JOIN current_relationship_depths r ON r.site_id = d.site_id
          AND r.people_from = d.people_from AND r.depth = 'reached'""",
    "retention": f"""
        SELECT site_id, population, cohort_month, months_since, month, people, active_people,
          active_people * 1.0 / people AS active_share,
          {_exact("active_low", "active_high")},
          buyers, buyers * 1.0 / people AS buyers_share,
          {_exact("buyers_low", "buyers_high")},
          net_micros, net, net_micros / 1000000.0 / people AS net_per_person, is_over
        FROM current_retention_cohorts""",
    "retention_half_life": f"""
        SELECT site_id, population, activity, since, lapse_months, people, lost, person_months,
          CAST(hazard AS numeric) AS lost_a_month,
          {_exact("half_life_months", "half_life_low", "half_life_high")},
          {_exact("lost_a_year", "lost_a_year_low", "lost_a_year_high")},
          {HALF_LIFE_YARDSTICK} AS yardstick_half_life_months,
          {YEARLY_YARDSTICK} AS yardstick_lost_a_year
        FROM current_retention_fits""",
}
