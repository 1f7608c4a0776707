"""The platform of the demo at work, and the server that it runs on."""
