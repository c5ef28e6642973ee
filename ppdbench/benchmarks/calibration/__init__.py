"""A judge held against users' own choices before it judges anybody."""
