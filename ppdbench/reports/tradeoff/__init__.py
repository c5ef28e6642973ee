"""How benchmark `tradeoff` is shown: sentence, section, table, drawings."""
