"""What LoRAAdapter objects come to: from what they say and what their files are, to revisions. Pure.

For whoever makes the desired document: the operator of a cluster, and a runtime that serves without one.
"""
