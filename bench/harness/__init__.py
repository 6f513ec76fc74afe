"""The comparison: obtains programs, starts peers, loads them, counts, reports."""
