"""Declaring tables, and following what DDL does to them."""
