"""Servers on loopback that stand for the clouds: tests, demo and benchmarks start them, and real clients talk to them.

Rules:
- They listen on 127.0.0.1 alone, are ended by whoever started them, and write into the folder they were given.
- What leads a client to them is its environment, as for the real cloud; no client is changed.
- A program that is not installed raises `ProgramMissing`, which says how to install it.
"""
