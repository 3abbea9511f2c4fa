/** Warnings in order: what blocks comes first, then by group and node. */

import type { Warning } from "../api/types";

export function sorted(warnings: readonly Warning[]): Warning[] {
  return [...warnings].sort(
    (one, other) =>
      Number(other.is_error) - Number(one.is_error) ||
      one.group.localeCompare(other.group) ||
      one.node.localeCompare(other.node) ||
      one.kind.localeCompare(other.kind),
  );
}

const ORDER: Warning["kind"][] = ["deprecated_after", "deprecated", "only_for", "missed", "stale"];

/** Each kind that there is, with how often. */
export function counted(warnings: readonly Warning[]): [Warning["kind"], number][] {
  return ORDER.map((kind): [Warning["kind"], number] => [
    kind,
    warnings.filter((warning) => warning.kind === kind).length,
  ]).filter(([, n]) => n > 0);
}
