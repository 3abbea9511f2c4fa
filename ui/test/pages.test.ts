import { describe, expect, test } from "vitest";
import type { DriftPage, HistoryEvent, Hit, Population, VersionPage, VersionRow, Warning } from "../src/api/types";
import { byAxes, byName, chosenAt, compared, delta, rowsOf, same, thresholdOf } from "../src/pages/compare";
import { cutsOf, directions, sharedMost, splitsMost } from "../src/pages/deciding";
import { drifting } from "../src/pages/drifting";
import { addressOf, moved } from "../src/pages/hits";
import { byDay, changed, changes, filterOf } from "../src/pages/timeline";
import { counted, sorted } from "../src/pages/warning";

const said = { entry: 1, at: "2026-11-28T12:00:00Z", by: "ana", why: "", job: null };

const row: VersionRow = {
  ref: "churn@1",
  digest: "a".repeat(64),
  stage: "candidate",
  at: said.at,
  by: "ana",
  figures: { roc_auc: 0.85, log_loss: 0.4 },
  missed: [],
  name: "churn",
  kind: "model",
  said,
  removed: false,
};

const page: VersionPage = {
  ...row,
  parameters: { C: 1 },
  source: { sha256: "b".repeat(64), path: "sources/b.tar.gz", commit: "c".repeat(40), dirty: false },
  made_from: [{ ...row, ref: "customers@1", name: "customers", kind: "snapshot" }],
  made_into: [],
  promotions: [],
  releases: [],
  curves: [],
  calibration: null,
  policy: null,
  rule: null,
  interval: null,
  rows: { test: 582 },
  expects: {},
  estimator: { C: "1.0" },
  files: [],
  libraries: { polars: "2.1.0" },
  onnx: null,
  importance: null,
  manifest: null,
};

describe("versions side by side", () => {
  const other: VersionPage = {
    ...page,
    ref: "churn@2",
    figures: { roc_auc: 0.86, log_loss: 0.4000000001, accuracy: 0.8 },
    parameters: { C: 1, penalty: { l1: true } },
    made_from: [{ ...row, ref: "customers@2", name: "customers", kind: "snapshot" }],
    source: { sha256: "b".repeat(64), path: "sources/b.tar.gz", commit: "c".repeat(40), dirty: true },
  };
  const differing = (part: string) =>
    compared([page, other])
      .find((one) => one.part === part)
      ?.rows.filter(({ differs }) => differs)
      .map(({ name }) => name);

  test("differ in what one lacks, and not by a hair of a number", () => {
    expect(differing("metrics")).toEqual(["roc_auc", "accuracy"]);
    expect(differing("parameters")).toEqual(["penalty"]);
  });
  test("differ by the snapshot, and by changes that were not committed", () => {
    expect(differing("origin")).toEqual(["customers", "commit"]);
  });
  test("share what is the same, and parts that none has are left out", () => {
    expect(differing("libraries")).toEqual([]);
    expect(compared([{ ...page, libraries: {} }]).map(({ part }) => part)).not.toContain("libraries");
  });
  test("have a value each in every row, in their own order", () => {
    expect(rowsOf([{ a: 1 }, { b: "x", a: 2 }])).toEqual([
      { name: "a", values: [1, 2], differs: true },
      { name: "b", values: [null, "x"], differs: true },
    ]);
  });
  test("tell by how much a number differs from the first one's", () => {
    expect(delta(0.9, 0.8)).toBeCloseTo(0.1);
    expect(delta(0.8, 0.80000000001)).toBeNull();
    expect(delta("1", 1)).toBeNull();
    expect(same("1", 1)).toBe(false);
  });
});

describe("curves", () => {
  const curve = (name: string, y_label = "precision") => ({ name, x_label: "recall", y_label, x: [0, 1], y: [1, 0] });
  test("of one version lie over one another where their axes are the same", () => {
    const overlays = byAxes([curve("test"), curve("validation"), curve("test", "share of yes")]);
    expect(overlays.map(({ curves }) => curves.map(({ label }) => label))).toEqual([["test", "validation"], ["test"]]);
  });
  test("of several versions lie over one another where their names are the same", () => {
    const overlays = byName([
      { ref: "offer@1", curves: [curve("test"), curve("validation")] },
      { ref: "offer@2", curves: [curve("test")] },
    ]);
    expect(overlays.map(({ name, curves }) => [name, curves.map(({ label }) => label)])).toEqual([
      ["test", ["offer@1", "offer@2"]],
      ["validation", ["offer@1"]],
    ]);
  });
  test("are marked where the threshold was chosen: at its recall, or at its value", () => {
    const tuned: VersionPage = { ...page, kind: "threshold", ref: "offer@1", figures: { value: 0.3 } };
    const manifest = { validation: { recall: 0.9 } };
    expect(chosenAt({ ...tuned, manifest, curves: [curve("test")] })?.at).toBe(0.9);
    expect(chosenAt({ ...tuned, curves: [{ ...curve("test"), x_label: "threshold" }] })?.at).toBe(0.3);
    expect(chosenAt({ ...tuned, manifest: {}, curves: [curve("test")] })).toBeNull();
    expect(chosenAt({ ...page, curves: [curve("test")] })).toBeNull();
  });
  test("of a model are those of its newest threshold whose files are there", () => {
    const tuned = (ref: string, entry: number, removed = false): VersionRow => ({
      ...row,
      kind: "threshold",
      ref,
      removed,
      said: { ...said, entry },
    });
    expect(thresholdOf([tuned("a@1", 5), tuned("b@1", 7), tuned("c@1", 9, true), row])?.ref).toBe("b@1");
    expect(thresholdOf([row])).toBeNull();
  });
});

describe("the past of a group", () => {
  const event = (kind: HistoryEvent["kind"], members: Record<string, string>, at = said.at): HistoryEvent => ({
    kind,
    said: { ...said, at },
    digest: null,
    left: null,
    members,
    is_production: false,
    can_go_back: false,
    has_diff: false,
  });
  const events = [
    event("rolled_back", { churn: "churn@1" }),
    event("approved", { churn: "churn@2" }),
    event("released", { churn: "churn@2", offer: "offer@1" }),
    event("promoted", { churn: "churn@2" }),
    event("released", { churn: "churn@1" }),
  ];
  test("tells which members another set brought, and which it took away", () => {
    expect(changes({ a: "a@1", b: "b@1", c: "c@1" }, { a: "a@2", b: "b@1", d: "d@1" })).toEqual([
      { name: "a", from: "a@1", to: "a@2" },
      { name: "d", from: null, to: "d@1" },
      { name: "c", from: "c@1", to: null },
    ]);
  });
  test("compares a release with the one before it, whatever happened between", () => {
    const found = changed(events, true);
    expect(found[0]).toEqual([
      { name: "churn", from: "churn@2", to: "churn@1" },
      { name: "offer", from: "offer@1", to: null },
    ]);
    expect(found[1]).toBeNull();
    expect(found[4]).toEqual([{ name: "churn", from: null, to: "churn@1" }]);
  });
  test("says nothing of a release while the one before it is not loaded", () => {
    expect(changed(events, false)[4]).toBeNull();
    expect(changed(events, false)[2]).not.toBeNull();
  });
  test("is told day by day, in its order", () => {
    const days = byDay(
      [
        event("held", {}, "2026-11-28T10:00:00Z"),
        event("resumed", {}, "2026-11-27T10:00:00Z"),
        event("held", {}, "2026-11-27T09:00:00Z"),
      ],
      (iso) => iso.slice(0, 10),
    );
    expect(days.map(([day, those]) => [day, those.length])).toEqual([
      ["2026-11-28", 1],
      ["2026-11-27", 2],
    ]);
  });
  test("shows everything where the address names a filter that there is not", () => {
    expect(filterOf("holds")).toBe("holds");
    expect(filterOf("toString")).toBe("all");
    expect(filterOf(null)).toBe("all");
  });
});

describe("a decision diff", () => {
  const share = (rate: number, high = rate) => ({ count: 1, of: 100, rate, low: 0, high });
  const threshold: Population["thresholds"][number] = {
    threshold: "offer",
    old: { version: "offer@1", model: "churn@1", cut: 0.4, yes: share(0.1) },
    new: { version: "offer@2", model: "churn@2", cut: 0.5, yes: share(0.2) },
    flips: share(0.3, 0.35),
    no_to_yes: share(0.2),
    yes_to_no: share(0.1),
    examples: [],
  };
  const scores = { of: "True", old: null, new: { start: 0, width: 1, counts: [1] }, moved: null };
  const model = { model: "churn", old: "churn@1", new: "churn@2", labelled: 1, metrics: {}, scores: [scores] };

  test("shows the directions that there are, on one scale for all thresholds", () => {
    expect(directions(threshold).map(([name]) => name)).toEqual(["noToYes", "yesToNo", "all"]);
    const first = { ...threshold, flips: null, no_to_yes: null, yes_to_no: null };
    expect(directions(first)).toEqual([]);
    expect(sharedMost([first, threshold])).toBe(0.35);
    expect(sharedMost([first])).toBe(0.05); // nothing flips: no bar may look long
  });
  test("has one scale for all pairs of APIs", () => {
    const split = { api: "a", other: "b", on: "id", rows_of: "test", old: share(0.1, 0.2), new: share(0.1) };
    expect(splitsMost([split, { ...split, old: null }])).toBe(0.2);
  });
  test("marks a cut on the scores of the threshold's own model alone", () => {
    expect(cutsOf(model, [threshold]).map(({ side, at }) => [side, at])).toEqual([
      ["old", 0.4],
      ["new", 0.5],
    ]);
    expect(cutsOf({ ...model, model: "reason", old: "reason@1", new: "reason@2" }, [threshold])).toEqual([]);
  });
  test("marks no cut where several classes have a score each, or a rule has several values", () => {
    expect(cutsOf({ ...model, scores: [scores, scores] }, [threshold])).toEqual([]);
    const ruled = { ...threshold, old: null, new: { ...threshold.new, cut: null } };
    expect(cutsOf(model, [ruled])).toEqual([]);
  });
});

test("drift goes from left to right, and the column that moved most comes first", () => {
  const column = (name: string, psi: number | null) => ({ name, psi, distance: null, drifted: false, says: "" });
  const drift: DriftPage = {
    dataset: "customers",
    reference: "customers@1",
    limit: 0.2,
    snapshots: [
      {
        ref: "c@3",
        at: "2026-03-01T00:00:00Z",
        drifted: false,
        says: "",
        columns: [column("a", 0.1), column("b", null)],
      },
      {
        ref: "c@2",
        at: "2026-02-01T00:00:00Z",
        drifted: false,
        says: "",
        columns: [column("a", 0.0), column("b", 0.3)],
      },
    ],
  };
  const [worst, other] = drifting(drift);
  expect([worst?.name, worst?.worst, worst?.last]).toEqual(["b", 0.3, null]);
  expect(other?.y).toEqual([0, 0.1]);
});

test("warnings that block come first, and each kind is counted once", () => {
  const warning = (node: string, kind: Warning["kind"], is_error: boolean): Warning => ({
    group: "churn",
    node,
    kind,
    is_error,
    says: "",
  });
  const all = [warning("a", "stale", false), warning("b", "missed", true), warning("c", "stale", true)];
  expect(sorted(all).map(({ node }) => node)).toEqual(["b", "c", "a"]);
  expect(counted(all)).toEqual([
    ["missed", 1],
    ["stale", 2],
  ]);
});

describe("what is found", () => {
  const hit: Hit = { what: "group", title: "", says: "", group: "a b", ref: null, digest: null, node: null };
  test("leads to its own page", () => {
    expect(addressOf(hit)).toBe("/plugin/lockstep/groups/a%20b");
    expect(addressOf({ ...hit, node: "churn" })).toMatch(/\/versions\?node=churn$/);
    expect(addressOf({ ...hit, node: "churn", ref: "churn@3" })).toMatch(/\/versions\/churn%403$/);
    expect(addressOf({ ...hit, digest: "abc" })).toMatch(/\/releases\/abc$/);
  });
  test("is gone through by the arrows, from the box down and back up", () => {
    expect(moved(-1, "ArrowDown", 3)).toBe(0);
    expect(moved(2, "ArrowDown", 3)).toBe(2);
    expect(moved(0, "ArrowUp", 3)).toBe(-1);
    expect(moved(0, "End", 3)).toBe(2);
    expect(moved(0, "x", 3)).toBeNull();
    expect(moved(-1, "ArrowDown", 0)).toBeNull();
  });
});
