"""`ray.cluster_utils.Cluster` in a process of its own, told what to do line by line: it wants the main thread, and
would leave its settings in the process of the tests.

In: `{"add": {"num_cpus": 1}}` or `{"lose": 2}`. Out: `{"node": 2, "raylet": <process id>, "address": "<host>:<port>"}`.
Ends with its input.
"""

import json
import sys

from ray._private.utils import write_ray_address
from ray.cluster_utils import Cluster


def main() -> None:
    sys.stdout, answers = sys.stderr, sys.stdout  # Ray prints too
    cluster, nodes = Cluster(), []
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "add" in order:
                nodes.append(cluster.add_node(**order["add"]))
                # As `ray start` does. Else a job takes whatever Ray it finds on this machine for its own.
                write_ray_address(cluster.address, nodes[0].get_temp_dir_path())
            else:
                cluster.remove_node(nodes[order["lose"]], allow_graceful=False)
            number = len(nodes) - 1 if "add" in order else order["lose"]
            raylet = nodes[number].all_processes["raylet"][0].process.pid if "add" in order else None
            answers.write(json.dumps({"node": number, "raylet": raylet, "address": cluster.address}) + "\n")
            answers.flush()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
