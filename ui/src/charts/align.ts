/**
 * What the drawing needs: one row of x for all series.
 *
 * Rules:
 * - No point is lost: where a curve goes straight up, its points keep their order, each a hair beside the one before.
 * - Where a series has no point at an x it has `undefined`, and its line goes on; `null` is a gap.
 */

export interface Points {
  x: readonly number[];
  y: readonly (number | null)[];
}

type Row = (number | null | undefined)[];

export function aligned(series: readonly Points[]): [number[], ...Row[]] {
  const all = series.flatMap(({ x }) => x);
  const range = all.length ? Math.max(...ends(all)) - Math.min(...ends(all)) : 0;
  const hair = (range || 1) * 1e-9;
  const strict = series.map(({ x }) => ascending(x, hair));
  const xs = [...new Set(strict.flat())].sort((a, b) => a - b);
  const place = new Map(xs.map((x, index) => [x, index]));
  const rows = series.map(({ y }, one) => {
    const row: Row = Array.from({ length: xs.length }, () => undefined);
    strict[one]?.forEach((x, index) => {
      row[place.get(x) ?? 0] = y[index] ?? null;
    });
    return row;
  });
  return [xs, ...rows];
}

/** Smallest and largest, without spreading thousands of arguments. */
export function ends(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function ascending(x: readonly number[], hair: number): number[] {
  let last = Number.NEGATIVE_INFINITY;
  return x.map((value) => {
    last = value > last ? value : last + hair;
    return last;
  });
}
