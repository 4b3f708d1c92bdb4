"""The collector that retailers' pages talk to: app, spool, snippet."""
