/** What hangs on what, along the edges. */

import type { GraphEdge } from "../api/types";

/** A node, all that it is made of, and all that hangs on it; agreements tie nobody. */
export function tiedTo(name: string, edges: readonly Pick<GraphEdge, "from" | "to" | "kind">[]): Set<string> {
  const ways = edges.filter(({ kind }) => kind !== "agrees");
  const down = follow(name, (from) => ways.filter((edge) => edge.from === from).map((edge) => edge.to));
  const up = follow(name, (to) => ways.filter((edge) => edge.to === to).map((edge) => edge.from));
  return new Set([...down, ...up]);
}

function follow(start: string, next: (name: string) => string[]): Set<string> {
  const found = new Set([start]);
  const open = [start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const other of next(name)) {
      if (found.has(other)) continue;
      found.add(other);
      open.push(other);
    }
  }
  return found;
}
