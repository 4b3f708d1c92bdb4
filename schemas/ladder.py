"""The engagement ladder's words: its rungs, and which act is on which.

Argued in docs/adr/0016-climb-by-acts.md.
"""

RUNGS = ("consumption", "curation", "creation", "collaboration")
"""From the lowest; a person's rung on a day is the highest of her acts."""
NEW, AWAY = "new", "away"
"""Where people come from before their first day, and where they are after a long silence."""
REPIN = "re-pin"
"""A pin from another person's pin: an act of its own, where any other is a `pin`."""
RUNG_OF = {
    "view": "consumption",
    "visit": "consumption",
    "pin": "curation",
    "share": "curation",
    "vote": "curation",
    "comment": "creation",
    "review": "creation",
    "photo": "creation",
    "question": "creation",
    "answer": "collaboration",
    REPIN: "collaboration",
    "repinned": "collaboration",
}
"""Rung of each act. No rung has it that others come to her pins, and what is paid (`order`,
`credit`): revenue has tables of its own, and would only be counted twice as engagement."""
ALL_KEYS, NO_KEY = "(all)", "(none)"
"""Keys of what is not cut by category or slot, and of acts without one."""
