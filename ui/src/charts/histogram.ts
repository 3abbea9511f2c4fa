/**
 * Two histograms over one another.
 *
 * Rules:
 * - Both are brought onto the same bins, the wider ones of the two; a count is shared out by how far its bin reaches
 *   into another, so that sums stay as they are.
 * - What is compared are shares of all rows: the two may have different numbers of rows.
 */

import type { Bins } from "../api/types";

export interface Overlaid {
  /** The edges of the bins: one more than there are bins. */
  edges: number[];
  old: number[] | null;
  new: number[];
}

const end = (bins: Bins): number => bins.start + bins.width * bins.counts.length;

export const sum = (values: readonly number[]): number => values.reduce((one, other) => one + other, 0);

export function overlaid(old: Bins | null, now: Bins): Overlaid {
  const both = [now, ...(old ? [old] : [])].filter((bins) => bins.counts.length > 0 && bins.width > 0);
  if (both.length === 0) return { edges: [], old: old && [], new: [] };
  const width = Math.max(...both.map((bins) => bins.width));
  const from = Math.floor(Math.min(...both.map((bins) => bins.start)) / width + 1e-9);
  const to = Math.ceil(Math.max(...both.map(end)) / width - 1e-9);
  const start = from * width;
  const count = Math.max(1, to - from);
  return {
    edges: Array.from({ length: count + 1 }, (_, edge) => start + edge * width),
    old: old && shares(rebinned(old, start, width, count)),
    new: shares(rebinned(now, start, width, count)),
  };
}

/** The counts of `bins` in `count` bins from `start` on. */
export function rebinned(bins: Bins, start: number, width: number, count: number): number[] {
  const found = Array.from({ length: count }, () => 0);
  bins.counts.forEach((rows, index) => {
    if (rows === 0 || bins.width <= 0) return;
    const low = bins.start + index * bins.width;
    const high = low + bins.width;
    const first = Math.max(0, Math.floor((low - start) / width + 1e-9));
    for (let bin = first; bin < count; bin++) {
      const left = start + bin * width;
      const covered = Math.min(high, left + width) - Math.max(low, left);
      if (covered <= width * 1e-9) break;
      found[bin] = (found[bin] ?? 0) + (rows * covered) / bins.width;
    }
  });
  return found;
}

export function shares(counts: readonly number[]): number[] {
  const all = sum(counts);
  return counts.map((rows) => (all ? rows / all : 0));
}

/** As steps to draw: the last bin reaches to its right edge. */
export function asSteps(edges: readonly number[], heights: readonly number[]): { x: number[]; y: number[] } {
  const last = heights[heights.length - 1];
  return { x: [...edges], y: last === undefined ? [] : [...heights, last] };
}
