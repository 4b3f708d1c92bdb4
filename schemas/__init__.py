"""The contracts: events, money, ids, settings, tables and views. Imports nothing of ours."""
