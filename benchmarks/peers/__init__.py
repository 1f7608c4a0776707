"""Peers, each set up as its documentation says, in a process of its own."""
