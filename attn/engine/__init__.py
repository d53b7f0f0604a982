"""The only importer of Ray: the chains, loops and actors that run the stages on one machine or on many.

Importing this package costs nothing; its modules import ray and torch, so a script loads them after its flags.
"""
