"""Many clips at once, over several processes, in shards that are kept when the job is interrupted.

`job` composes: `inputs` (what there is), `plan` (what of it is done), `pool` and `worker` (the clips), `shards` (their
rows on disk), `outputs` (what is made of the rows).
"""
