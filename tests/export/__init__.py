"""Exports, imports, proof, followers."""
