import { describe, expect, test } from "vitest";
import { aligned } from "../src/charts/align";
import { span } from "../src/charts/Bars";
import { SERIES } from "../src/charts/colours";
import { asSteps, overlaid, rebinned, sum } from "../src/charts/histogram";
import { bars } from "../src/charts/Spark";

describe("one row of x for all series", () => {
  test("holds each x once, and lets a line go on where another series has a point", () => {
    const rows = aligned([
      { x: [0, 2], y: [1, 3] },
      { x: [0, 1], y: [5, null] },
    ]);
    expect(rows).toEqual([
      [0, 1, 2],
      [1, undefined, 3],
      [5, null, undefined],
    ]);
  });
  test("keeps all points of a curve that goes straight up, in their order", () => {
    const [x, y] = aligned([{ x: [0, 0, 0, 1], y: [0, 0.4, 0.9, 1] }]);
    expect(y).toEqual([0, 0.4, 0.9, 1]);
    expect(x.every((value, index) => index === 0 || value > (x[index - 1] ?? 0))).toBe(true);
    expect(x[2]).toBeLessThan(1e-6);
  });
  test("is empty where nothing is drawn", () => {
    expect(aligned([])).toEqual([[]]);
    expect(aligned([{ x: [], y: [] }])).toEqual([[], []]);
  });
});

describe("two histograms", () => {
  test("of the same bins lie over one another, as shares of their own rows", () => {
    const both = overlaid({ start: 0, width: 0.5, counts: [1, 3] }, { start: 0, width: 0.5, counts: [10, 30] });
    expect(both).toEqual({ edges: [0, 0.5, 1], old: [0.25, 0.75], new: [0.25, 0.75] });
  });
  test("of different ends reach as far as both do", () => {
    const both = overlaid({ start: 0.5, width: 0.25, counts: [4] }, { start: 0, width: 0.25, counts: [2, 2] });
    expect(both.edges).toEqual([0, 0.25, 0.5, 0.75]);
    expect(both.old).toEqual([0, 0, 1]);
    expect(both.new).toEqual([0.5, 0.5, 0]);
  });
  test("of different widths are brought onto the wider bins, and no row is lost", () => {
    const fine = { start: 0, width: 0.25, counts: [1, 2, 3, 4] };
    expect(rebinned(fine, 0, 0.5, 2)).toEqual([3, 7]);
    const both = overlaid(fine, { start: 0, width: 0.5, counts: [5, 5] });
    expect(both.old).toEqual([0.3, 0.7]);
    expect(sum(rebinned({ start: 0.1, width: 0.3, counts: [7, 0, 5] }, 0, 0.25, 4))).toBeCloseTo(12);
  });
  test("of a first release have no old side", () => {
    expect(overlaid(null, { start: 0, width: 1, counts: [2] })).toEqual({ edges: [0, 1], old: null, new: [1] });
    expect(overlaid(null, { start: 0, width: 1, counts: [] }).edges).toEqual([]);
  });
  test("are drawn to the right edge of their last bin", () => {
    expect(asSteps([0, 1, 2], [5, 6])).toEqual({ x: [0, 1, 2], y: [5, 6, 6] });
    expect(asSteps([], [])).toEqual({ x: [], y: [] });
  });
});

test("a small histogram has at most forty bars, with all rows in them", () => {
  const counts = Array.from({ length: 100 }, () => 2);
  const few = bars({ start: 3, width: 0.1, counts });
  expect(few.length).toBeLessThanOrEqual(40);
  expect(sum(few)).toBeCloseTo(200);
});

test("bars begin at zero, on either side of it, and reach to the end of the longest whisker", () => {
  expect(span([{ value: 2, low: 1, high: 5 }])).toEqual([0, 5]);
  expect(span([{ value: -2 }, { value: 3 }])).toEqual([-2, 3]);
  expect(span([{ value: 2 }], 10)).toEqual([0, 10]);
  expect(span([{ value: 0 }])).toEqual([0, 1]);
});

describe("the colours of the series", () => {
  // WCAG 2: relative luminance, and the contrast of two of them
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one: string, other: string): number => {
    const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  test("stand out from a light page and from a dark one, as words on them would", () => {
    for (const colour of SERIES.light) expect(contrast(colour, "#f4f4f5")).toBeGreaterThan(4.4);
    for (const colour of SERIES.dark) expect(contrast(colour, "#27272a")).toBeGreaterThan(4.5);
  });
});
