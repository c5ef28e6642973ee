"""How benchmark `interpolation` is shown: sentence, section, table, gallery, drawings."""
