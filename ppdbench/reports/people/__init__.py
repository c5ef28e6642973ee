"""How benchmarks `personal` and `users` are shown: section, table, gallery, drawings."""
