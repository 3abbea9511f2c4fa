/** Which groups are listed, and in which order. */

import type { GroupSummary } from "../api/types";

export const FILTERS = ["all", "closed", "waiting", "hold", "drift"] as const;
export type Filter = (typeof FILTERS)[number];
export type Order = "name" | "gate" | "production";

const FITS: Record<Filter, (group: GroupSummary) => boolean> = {
  all: () => true,
  closed: ({ gate }) => gate?.status === "closed",
  waiting: ({ waiting }) => waiting !== null,
  hold: ({ hold }) => hold !== null,
  drift: ({ drift, due }) => due !== null || drift?.drifted === true,
};

export const fits = (group: GroupSummary, filter: Filter): boolean => FITS[filter](group);

/** How much a group needs somebody: a question first, then a hold, what is out of step, what could be released. */
function urgency({ waiting, hold, problem, gate }: GroupSummary): number {
  if (problem) return 0;
  if (waiting) return 1;
  if (hold) return 2;
  return gate?.status === "closed" ? 3 : gate?.status === "open" ? 4 : 5;
}

const byName = (one: GroupSummary, other: GroupSummary) => one.name.localeCompare(other.name);

const ORDERS: Record<Order, (one: GroupSummary, other: GroupSummary) => number> = {
  name: byName,
  gate: (one, other) => urgency(one) - urgency(other) || byName(one, other),
  // what was released longest ago first; never at all before that
  production: (one, other) =>
    (one.production?.said.at ?? "").localeCompare(other.production?.said.at ?? "") || byName(one, other),
};

export function listed(groups: readonly GroupSummary[], text: string, filter: Filter, order: Order): GroupSummary[] {
  const wanted = text.trim().toLowerCase();
  return groups.filter((group) => group.name.toLowerCase().includes(wanted) && fits(group, filter)).sort(ORDERS[order]);
}
