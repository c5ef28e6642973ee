"""What is measured: plan the items, generate, measure, summarise, each stage from files."""
