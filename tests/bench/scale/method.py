"""What the page of the scale benchmark says of its figures: how they came about, and what they lead to."""

LARGER = """## What breaks first with 50,000 adapters

In the order in which it would be noticed:

1. The operator's memory, however the adapters are spread over models: another thousand take {rss} MiB, so that the chart's limit
   of {limit} MiB is reached with about {fit}. Raise `resources.limits.memory`; it is a setting and no edge.
2. The document of one model: a ConfigMap holds 1 MiB, and an adapter takes {bytes} bytes of it (packed; digests, commits and UIDs
   are random and do not compress), so that one model holds about {most} adapters. A message between operator and pod is as long
   as it may be, 4 MiB, with hardly fewer.
3. The start of the operator: another thousand take {cold} s of it. Pods serve on meanwhile; changes wait.

How the design would go on:

1. The document in shards, `<model>-desired-<n>`, by a hash of the served name: pods mount all of them, a change writes one. The
   sequence and etag stay per shard, and a pod is told and tells of one shard at a time, so that no message grows beyond what it
   is now. That carries one model beyond what a ConfigMap holds.
2. A pass still walks over all adapters of its model, if only to see that they are as they were: some 10 µs each, half a second
   with 50,000. The names that events and pods have rung for would then come with the ring, and a pass would conclude about
   those and what blends them; the walk over all is left to the sweep.
3. Beyond that, one process: models are independent of each other, so that operators could share them out by namespace or by a
   Lease per share of the keys."""

METHOD = """## How it was measured

- A real API server with etcd and the controller manager, no node; the real operator as a process with the chart's role; pods are
  Pod objects whose status the benchmark writes, each with a process that runs the real service, planner and admin server over
  mutual TLS, and an engine that only remembers. Every source exists, and its files take no time.
- *Cold start*: one adapter of each model is edited while no operator runs; the time from the start of the process until the last
  of these edits is Ready everywhere.
- *Burst*: from the first of the creations, 24 at a time, to the last Ready, as a watch sees it.
- *API requests*: from the audit log, all of the operator's account. The growth of *idle* is of 10 s at each number, in which
  mostly the Lease is renewed; the table of what is asked while nothing happens is of longer than the sweep's five minutes.
  *One change* is the mean over changes made one after the other; of its writes, the renewals of the Lease and the checks of the
  certificates, which come by the clock, are left out.
- *Memory*: the process's peak from its start through everything else here, the burst included.

What this cannot show: loads into a GPU, and networks."""
