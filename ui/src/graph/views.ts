/**
 * The three views of a group that can be laid over one another: what is in production, in staging, and what is newest.
 *
 * A node shows a row for each view that is switched on and in which it has a version. Two views that show the same
 * version share a row: what is left apart is what differs.
 */

import type { GraphNode, NodeVersion } from "../api/types";

export const VIEWS = ["production", "staging", "candidate"] as const;
export type View = (typeof VIEWS)[number];

export interface Row {
  views: View[];
  version: NodeVersion;
}

/** The rows of a node, in the order of the views. */
export function rowsOf(node: Pick<GraphNode, View>, shown: readonly View[]): Row[] {
  const rows: Row[] = [];
  for (const view of VIEWS) {
    const version = shown.includes(view) ? node[view] : null;
    if (!version) continue;
    const same = rows.find((row) => row.version.digest === version.digest);
    if (same) same.views.push(view);
    else rows.push({ views: [view], version });
  }
  return rows;
}

/** Whether the views that are shown say different things of a node: another version, or one only in some of them. */
export function differs(node: Pick<GraphNode, View>, shown: readonly View[]): boolean {
  // that there is no newer candidate is no difference, but what one hopes for
  const compared = VIEWS.filter((view) => shown.includes(view) && !(view === "candidate" && !node.candidate));
  return compared.length > 1 && new Set(compared.map((view) => node[view]?.digest ?? null)).size > 1;
}
