"""How verdicts and calibrations are shown: sentence, section, table, drawings, and the bill."""
