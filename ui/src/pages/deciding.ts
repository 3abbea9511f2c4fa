/**
 * What the plots of a decision diff show.
 *
 * Rules:
 * - All thresholds share one scale, so that a bar twice as long is twice as many flips.
 * - A threshold's cut is marked on the scores of its own model, where there is one score to cut.
 */

import type { Population, Share, Split } from "../api/types";

const LEAST = 0.05; // a scale on which hardly anything looks like little
type Threshold = Population["thresholds"][number];
export type Direction = "noToYes" | "yesToNo" | "all";

/** Each direction with its share, and the colour of its bar. */
export function directions(one: Threshold): [Direction, Share, number][] {
  const all: [Direction, Share | null, number][] = [
    ["noToYes", one.no_to_yes, 0],
    ["yesToNo", one.yes_to_no, 1],
    ["all", one.flips, 5],
  ];
  return all.filter((entry): entry is [Direction, Share, number] => entry[1] !== null);
}

/** How far the longest bar or whisker of all thresholds reaches. */
export function sharedMost(thresholds: readonly Threshold[]): number {
  return Math.max(
    LEAST,
    ...thresholds.flatMap((one) => directions(one).map(([, of]) => Math.max(of.rate ?? 0, of.high))),
  );
}

/** The same for the splits. */
export function splitsMost(splits: readonly Split[]): number {
  return Math.max(LEAST, ...splits.flatMap(({ old, new: now }) => [old?.high ?? 0, now.high]));
}

export const interval = ({ low, high }: Share, text: (value: number) => string): string => `${text(low)}–${text(high)}`;

export interface Cut {
  threshold: string;
  side: "old" | "new";
  at: number;
}

/** Where the thresholds of a model cut its scores. */
export function cutsOf(model: Population["models"][number], thresholds: readonly Threshold[]): Cut[] {
  if (model.scores.length !== 1) return [];
  const own = (ref: string, version: string | null) => ref === version || ref === model.model;
  return thresholds.flatMap((one) => {
    const cuts: Cut[] = [];
    if (one.old?.cut != null && own(one.old.model, model.old)) {
      cuts.push({ threshold: one.threshold, side: "old", at: one.old.cut });
    }
    if (one.new.cut !== null && own(one.new.model, model.new)) {
      cuts.push({ threshold: one.threshold, side: "new", at: one.new.cut });
    }
    return cuts;
  });
}
