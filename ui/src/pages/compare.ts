/**
 * Versions side by side: what they share, and where they differ.
 *
 * Rules:
 * - A row has one value for each version, null where a version has none; one that lacks what another has differs.
 * - Numbers are equal where they are the same to six significant digits: what training repeats comes out a hair apart.
 */

import type { Curve, VersionPage, VersionRow } from "../api/types";

export type Value = string | number | null;
export type Part = "metrics" | "parameters" | "origin" | "estimator" | "rows" | "libraries";

export interface Row {
  name: string;
  values: Value[];
  differs: boolean;
}

export interface Compared {
  part: Part;
  rows: Row[];
}

export function compared(pages: readonly VersionPage[]): Compared[] {
  const parts: [Part, (page: VersionPage) => Record<string, Value>][] = [
    ["metrics", (page) => page.figures],
    ["parameters", (page) => texts(page.parameters)],
    ["origin", originOf],
    ["rows", (page) => page.rows],
    ["estimator", (page) => page.estimator],
    ["libraries", (page) => page.libraries],
  ];
  return parts.map(([part, of]) => ({ part, rows: rowsOf(pages.map(of)) })).filter(({ rows }) => rows.length > 0);
}

/** A row for each name that one of them has, in the order in which they come up. */
export function rowsOf(all: readonly Record<string, Value>[]): Row[] {
  const names = new Set(all.flatMap((one) => Object.keys(one)));
  return [...names].map((name) => {
    const values = all.map((one) => one[name] ?? null);
    return { name, values, differs: !values.every((value) => same(value, values[0] ?? null)) };
  });
}

export function same(one: Value, other: Value): boolean {
  if (typeof one === "number" && typeof other === "number") return one.toPrecision(6) === other.toPrecision(6);
  return one === other;
}

/** By how much a number differs from that of the first version. */
export function delta(value: Value, first: Value): number | null {
  return typeof value === "number" && typeof first === "number" && !same(value, first) ? value - first : null;
}

/** What a version was made of, and by which code. */
function originOf(page: VersionPage): Record<string, Value> {
  return {
    ...Object.fromEntries(page.made_from.map((row) => [row.name, row.ref])),
    ...(page.rule !== null && { rule: page.rule }),
    ...(page.policy !== null && { policy: page.policy }),
    ...(page.source && { source: page.source.sha256.slice(0, 12), commit: commitOf(page.source) }),
  };
}

const commitOf = ({ commit, dirty }: { commit: string; dirty: boolean }): string =>
  `${commit.slice(0, 12)}${dirty ? "+" : ""}`;

export const texts = (values: Record<string, unknown>): Record<string, Value> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, text(value)]));

function text(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "number" || typeof value === "string") return value;
  return JSON.stringify(value);
}

export interface Overlay {
  name: string;
  x_label: string;
  y_label: string;
  curves: { label: string; curve: Curve }[];
}

/** The curves of one version, those with the same axes over one another. */
export function byAxes(curves: readonly Curve[]): Overlay[] {
  return gathered(
    curves.map((curve) => ({ key: `${curve.x_label} ${curve.y_label}`, name: "", label: curve.name, curve })),
  );
}

/** The curves of several versions, those of the same name over one another. */
export function byName(pages: readonly Pick<VersionPage, "ref" | "curves">[]): Overlay[] {
  return gathered(
    pages.flatMap(({ ref, curves }) =>
      curves.map((curve) => ({
        key: `${curve.name} ${curve.x_label} ${curve.y_label}`,
        name: curve.name,
        label: ref,
        curve,
      })),
    ),
  );
}

function gathered(all: { key: string; name: string; label: string; curve: Curve }[]): Overlay[] {
  const found = new Map<string, Overlay>();
  for (const { key, name, label, curve } of all) {
    const { x_label, y_label } = curve;
    const there = found.get(key) ?? { name, x_label, y_label, curves: [] };
    there.curves.push({ label, curve });
    found.set(key, there);
  }
  return [...found.values()];
}

export interface Chosen {
  axis: string;
  at: number;
  label: string;
}

/** Where on its curve a threshold was chosen: its recall on the rows that it was chosen by, or its value. */
export function chosenAt(page: Pick<VersionPage, "kind" | "ref" | "figures" | "manifest" | "curves">): Chosen | null {
  if (page.kind !== "threshold") return null;
  const axis = page.curves[0]?.x_label ?? "";
  const at = axis === "threshold" ? page.figures.value : within(page.manifest, "validation", axis);
  return typeof at === "number" ? { axis, at, label: page.ref } : null;
}

function within(value: unknown, ...names: string[]): unknown {
  return names.reduce<unknown>(
    (found, name) =>
      typeof found === "object" && found !== null ? (found as Record<string, unknown>)[name] : undefined,
    value,
  );
}

/** The newest threshold version that was tuned on a model version and whose files are there. */
export function thresholdOf(rows: readonly VersionRow[]): VersionRow | null {
  const tuned = rows.filter(({ kind, removed }) => kind === "threshold" && !removed);
  return tuned.reduce<VersionRow | null>((best, row) => (best && best.said.entry > row.said.entry ? best : row), null);
}
