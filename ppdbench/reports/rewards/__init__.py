"""How benchmark `rewards` is shown: section, table of means, trainings, drawings."""
