// The clusters of the preview page: none, an embedded one, three nodes, two hundred, and one with hostile names.

import { HOSTILE, random } from "./scenario.js";

/** @typedef {import("../src/cluster-text.js").Node} Node */
/** @typedef {import("../src/cluster-store.js").Cluster} Cluster */

const GB = 1e9;
const DEAD = "it has failed: health check failed due to missing too many heartbeats";

/**
 * @param {number} number
 * @param {Partial<Node>} more
 * @param {number[]} totals CPUs, GPUs, bytes of memory and of the object store
 * @param {number[]} used
 * @returns {Node}
 */
function node(number, more, totals, used) {
  const names = ["CPU", "GPU", "memory", "object_store_memory"];
  const amounts = /** @type {[string, number, number][]} */ (names.map((name, i) => [name, used[i], totals[i]]));
  const id = (0x9e3779b1 * (number + 1)).toString(16).slice(-8);
  const base = { id, name: `10.0.0.${number + 1}`, head: number === 0, alive: true, reason: "", accelerator: "" };
  return { ...base, amounts: amounts.filter(([, , total]) => total), ...more };
}

const dead = (/** @type {number} */ number, reason = DEAD) =>
  node(number, { alive: false, reason, amounts: [] }, [0, 0, 0, 0], [0, 0, 0, 0]);

/** @param {Node[]} nodes @param {Partial<Cluster>} cluster @returns {{cluster: Cluster, nodes: Node[]}} */
function makeCluster(nodes, cluster) {
  /** @type {Map<string, [string, number, number]>} */
  const sums = new Map();
  for (const { amounts } of nodes)
    for (const [name, used, total] of amounts) {
      const sum = sums.get(name) ?? [name, 0, 0];
      sums.set(name, [name, sum[1] + used, sum[2] + total]);
    }
  const alive = nodes.filter((one) => one.alive).length;
  const totals = { alive, dead: nodes.length - alive, amounts: [...sums.values()], users: [], others: {} };
  return { nodes, cluster: { kind: "attached", address: "10.0.0.1:6379", ...totals, ...cluster } };
}

/**
 * @param {string} name
 * @returns {{cluster: Cluster, nodes: Node[]}}
 */
export function clusterOf(name) {
  if (name === "none") return { cluster: { kind: "none" }, nodes: [] };
  if (name === "gone")
    return {
      cluster: { kind: "gone", reason: "the cluster at 10.0.0.1:6379 does not answer any more" },
      nodes: [],
    };
  if (name === "one") {
    const only = node(0, { name: "127.0.0.1" }, [8, 0, 9.3 * GB, 4.6 * GB], [3, 0, 0, 0.02 * GB]);
    const users = [{ name: "digits", here: true, trials: 3, resources: { CPU: 3 } }];
    return makeCluster([only], { kind: "embedded", address: "127.0.0.1:54321", users });
  }
  if (name === "200") return many();
  const nodes = [
    node(0, {}, [4, 0, 16 * GB, 8 * GB], [0, 0, 0, 0.3 * GB]),
    node(1, { accelerator: "A100" }, [32, 4, 256 * GB, 80 * GB], [18, 2.5, 96 * GB, 31 * GB]),
    node(2, { accelerator: "A100" }, [32, 4, 256 * GB, 80 * GB], [32, 4, 128 * GB, 0]),
  ];
  nodes[1].amounts.push(["safe_node", 0.5, 1]);
  /** @type {import("../src/cluster-store.js").User[]} */
  const users = [
    { name: "digits", here: true, trials: 4, resources: { CPU: 32, GPU: 4, memory: 128 * GB } },
    { name: "resnet_lr", here: false, trials: 2, resources: { CPU: 16, GPU: 2, memory: 96 * GB, safe_node: 0.5 } },
  ];
  if (name !== "hostile") return makeCluster([...nodes, dead(3)], { users, others: { CPU: 2, GPU: 0.5 } });
  nodes.push(dead(3, HOSTILE[0]));
  nodes.forEach((one, i) => {
    one.name = HOSTILE[i];
  });
  nodes[0].amounts.push([HOSTILE[1], 1, 2], [HOSTILE[4], 0.25, 2]);
  users[0].name = HOSTILE[4];
  users[1].name = HOSTILE[0];
  return makeCluster(nodes, { users, address: HOSTILE[3] });
}

function many() {
  const next = random(7);
  const nodes = Array.from({ length: 200 }, (_, i) =>
    i % 50 === 49
      ? dead(i)
      : node(
          i,
          i % 2 ? { accelerator: "H100" } : {},
          [64, i % 2 ? 8 : 0, 512 * GB, 150 * GB],
          [Math.floor(65 * next()), i % 2 ? Math.floor(9 * next()) : 0, 256 * GB * next(), 150 * GB * next()],
        ),
  );
  const users = Array.from({ length: 12 }, (_, i) => ({
    name: `sweep_${i}`,
    here: i < 2,
    trials: 40 + i,
    resources: { CPU: 300 + i, GPU: 40 },
  }));
  return makeCluster(nodes, { users, others: { CPU: 1234, GPU: 7 } });
}
