"""The kernel in Python: what the C++ one must equal, and what plans where nothing could be compiled."""
