/**
 * Drift over time, as lines.
 *
 * Rules:
 * - The columns that moved most, at any time, come first.
 * - Time runs from left to right, however the answer is ordered.
 */

import type { DriftPage } from "../api/types";

export interface Drifting {
  name: string;
  worst: number;
  last: number | null;
  drifted: boolean;
  says: string;
  x: number[];
  y: (number | null)[];
}

export function drifting(page: DriftPage): Drifting[] {
  const snapshots = [...page.snapshots].sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
  const found = new Map<string, Drifting>();
  for (const { at, columns } of snapshots) {
    for (const { name, psi, drifted, says } of columns) {
      const line = found.get(name) ?? { name, worst: 0, last: null, drifted, says, x: [], y: [] };
      line.x.push(Date.parse(at));
      line.y.push(psi);
      line.worst = Math.max(line.worst, psi ?? 0);
      line.last = psi;
      line.drifted = drifted;
      line.says = says;
      found.set(name, line);
    }
  }
  return [...found.values()].sort((one, other) => other.worst - one.worst || one.name.localeCompare(other.name));
}
