/**
 * What a group's past says from one release to the next.
 *
 * Rules:
 * - A release is compared with the one that was in production before it, a rollback with the release it left.
 * - Nothing is said while the release before has not been loaded: no change is not the same as not known.
 */

import type { HistoryEvent, HistoryKind } from "../api/types";

export interface Change {
  name: string;
  from: string | null;
  to: string | null;
}

/** Whether another set went to production. */
export const moves = (kind: HistoryKind): boolean => kind === "released" || kind === "rolled_back";

export function changes(before: Record<string, string>, after: Record<string, string>): Change[] {
  return [...new Set([...Object.keys(after), ...Object.keys(before)])]
    .map((name) => ({ name, from: before[name] ?? null, to: after[name] ?? null }))
    .filter(({ from, to }) => from !== to);
}

/** What each release changed, newest first as the events come; null where the one before it is not there. */
export function changed(events: readonly HistoryEvent[], complete: boolean): (Change[] | null)[] {
  return events.map((event, index) => {
    if (!moves(event.kind)) return null;
    const before = events.slice(index + 1).find(({ kind }) => moves(kind));
    if (before) return changes(before.members, event.members);
    return complete ? changes({}, event.members) : null;
  });
}

/** The events at which a rollback is offered: the newest one of each set that it could go to. */
export function backTo(events: readonly HistoryEvent[]): Set<HistoryEvent> {
  const seen = new Set<string>();
  return new Set(
    events.filter(({ can_go_back, digest }) => {
      if (!can_go_back || digest === null || seen.has(digest)) return false;
      seen.add(digest);
      return true;
    }),
  );
}

/** The kinds that a reader wants to see together. */
export const FILTERS = {
  all: [],
  releases: ["released", "rolled_back"],
  promotions: ["promoted"],
  words: ["approved", "rejected"],
  holds: ["held", "resumed"],
} as const satisfies Record<string, readonly HistoryKind[]>;

export type Filter = keyof typeof FILTERS;

export const filterOf = (text: string | null): Filter =>
  text !== null && Object.hasOwn(FILTERS, text) ? (text as Filter) : "all";

/** The days that the events fall on, each with its events, in the order in which they come. */
export function byDay<T extends { said: { at: string } }>(
  events: readonly T[],
  day: (iso: string) => string,
): [string, T[]][] {
  const days: [string, T[]][] = [];
  for (const event of events) {
    const of = day(event.said.at);
    const last = days.at(-1);
    if (last && last[0] === of) last[1].push(event);
    else days.push([of, [event]]);
  }
  return days;
}
