import { describe, expect, test } from "vitest";
import { candidatesOf } from "../src/actions";
import { promotionConf, rollbackConf, trainingConf } from "../src/actions/airflow";
import { readParameters } from "../src/actions/parameters";
import type { GraphNode, GroupSummary, NodeVersion } from "../src/api/types";
import { asElk, keyOf } from "../src/graph/layout";
import { tiedTo } from "../src/graph/reach";
import { differs, rowsOf } from "../src/graph/views";
import { listed } from "../src/pages/grouping";

const version = (ref: string, missed: string[] = []): NodeVersion => ({
  ref,
  digest: `digest of ${ref}`,
  stage: "candidate",
  at: "2026-11-28T12:00:00Z",
  by: "ana",
  figures: { roc_auc: 0.87 },
  missed,
});

const node = (name: string, own: Partial<GraphNode> = {}): GraphNode => ({
  name,
  kind: "model",
  description: "",
  deprecated: null,
  deprecated_after: null,
  only_for: null,
  shared: true,
  production: null,
  staging: null,
  candidate: null,
  blocks: [],
  stale: [],
  consumers: [],
  versions: 0,
  ...own,
});

describe("views laid over one another", () => {
  const one = node("churn", {
    production: version("churn@1"),
    staging: version("churn@1"),
    candidate: version("churn@2"),
  });
  test("share a row where they show the same version", () => {
    expect(rowsOf(one, ["production", "staging", "candidate"]).map(({ views }) => views)).toEqual([
      ["production", "staging"],
      ["candidate"],
    ]);
  });
  test("show nothing of a view that is switched off", () => {
    expect(rowsOf(one, ["candidate"]).map(({ version }) => version.ref)).toEqual(["churn@2"]);
    expect(rowsOf(one, [])).toEqual([]);
  });
  test("differ where their versions do, or where only one has a version", () => {
    expect(differs(one, ["production", "staging"])).toBe(false);
    expect(differs(one, ["production", "candidate"])).toBe(true);
    expect(differs(node("new", { staging: version("new@1") }), ["production", "staging"])).toBe(true);
  });
  test("do not differ for want of a candidate", () => {
    const calm = node("calm", { production: version("calm@1"), staging: version("calm@1") });
    expect(differs(calm, ["production", "staging", "candidate"])).toBe(false);
  });
});

describe("the layout", () => {
  const nodes = [
    node("rows", { kind: "dataset" }),
    node("churn"),
    node("offers", { kind: "api" }),
    node("calls", { kind: "api" }),
  ];
  const edges = [
    { from: "rows", to: "churn", kind: "data" as const },
    { from: "offers", to: "calls", kind: "agrees" as const },
  ];
  test("puts kinds into columns, a model behind what it builds on, and nobody behind another for an agreement", () => {
    const reason = { from: "churn", to: "reason", kind: "builds_on" as const };
    const asked = asElk({ nodes: [node("reason"), ...nodes], edges: [reason, ...edges] }, 1);
    const x = new Map(asked.children?.map((child) => [child.id, child.x ?? 0]));
    const columns = [...new Set([...x.values()].sort((a, b) => a - b))];
    expect(Object.fromEntries([...x].map(([name, where]) => [name, columns.indexOf(where)]))).toEqual({
      rows: 0,
      churn: 1,
      reason: 2,
      offers: 3,
      calls: 3,
    });
    expect(asked.edges?.map(({ sources, targets }) => [sources, targets])).toEqual([
      [["churn→"], ["→reason"]],
      [["rows→"], ["→churn"]],
    ]);
  });
  test("is the same one when a version arrives, and another when a node does", () => {
    const key = keyOf({ nodes, edges }, 1);
    expect(keyOf({ nodes: nodes.map((one) => ({ ...one, staging: version("x@1") })), edges }, 1)).toBe(key);
    expect(keyOf({ nodes: [...nodes, node("other")], edges }, 1)).not.toBe(key);
  });
});

test("a node is tied to what it is made of and to what hangs on it, not to its siblings", () => {
  const edges = [
    { from: "rows", to: "churn", kind: "data" as const },
    { from: "rows", to: "reason", kind: "data" as const },
    { from: "churn", to: "offer", kind: "score" as const },
    { from: "offer", to: "offers", kind: "decides" as const },
    { from: "offers", to: "calls", kind: "agrees" as const },
  ];
  expect([...tiedTo("churn", edges)].sort()).toEqual(["churn", "offer", "offers", "rows"]);
});

describe("the list of groups", () => {
  const group = (name: string, own: Partial<GroupSummary> = {}): GroupSummary => ({
    name,
    registry: "",
    problem: null,
    gate: { status: "nothing new", reasons: [], blocked: 0 },
    production: null,
    hold: null,
    waiting: null,
    drift: null,
    due: null,
    warnings: 0,
    counts: { models: 1, thresholds: 1, apis: 1, versions: 1 },
    ...own,
  });
  const closed = group("b", { gate: { status: "closed", reasons: ["x"], blocked: 1 } });
  const drifting = group("c", { drift: { reference: "r@1", current: "r@2", drifted: true, worst: null, says: "" } });
  const groups = [group("a"), closed, drifting];
  const names = (...given: Parameters<typeof listed>) => listed(...given).map(({ name }) => name);
  test("has what needs somebody first", () => {
    expect(names(groups, "", "all", "gate")).toEqual(["b", "a", "c"]);
    expect(names(groups, "", "all", "name")).toEqual(["a", "b", "c"]);
  });
  test("is narrowed by text and by state", () => {
    expect(names(groups, " B", "all", "name")).toEqual(["b"]);
    expect(names(groups, "", "closed", "name")).toEqual(["b"]);
    expect(names(groups, "", "drift", "name")).toEqual(["c"]);
  });
});

describe("what Airflow is sent", () => {
  test("says nothing for a blank field", () => {
    const training = { models: ["churn"], parameters: {}, force: false, promote: true, where: " ", engine: "" };
    expect(trainingConf(training)).toEqual({ models: ["churn"], parameters: {}, force: false, promote: true });
    expect(trainingConf({ ...training, where: " local " })).toMatchObject({ where: "local" });
    expect(rollbackConf(null, "bad calls")).toEqual({ why: "bad calls" });
  });
  test("names several versions in one line", () => {
    expect(promotionConf(["churn@3", "churn_reason@2"])).toEqual({ version: "churn@3 churn_reason@2" });
  });
});

describe("parameters as JSON", () => {
  test("are read, by model", () => {
    expect(readParameters('{"churn": {"model__C": 0.3}}', ["churn"]).value).toEqual({ churn: { model__C: 0.3 } });
    expect(readParameters("  ", ["churn"]).value).toEqual({});
  });
  test("are refused with the reason", () => {
    expect(readParameters("{", ["churn"]).problem).toMatch(/^This is no JSON: /u);
    expect(readParameters("[]", ["churn"]).problem).toBe("This has to be an object: model → parameters.");
    expect(readParameters('{"chrun": {}}', ["churn"]).problem).toBe(
      "“chrun” is no model of this group; there are churn.",
    );
    expect(readParameters('{"churn": 3}', ["churn"]).problem).toContain("“churn”");
  });
});

test("candidates are models that met what is expected of them", () => {
  const nodes = [
    node("churn", { candidate: version("churn@2") }),
    node("weak", { candidate: version("weak@2", ["roc_auc is 0.5"]) }),
    node("offer", { kind: "threshold", candidate: version("offer@2") }),
    node("calm"),
  ];
  expect(candidatesOf({ nodes })).toEqual([{ name: "churn@2", says: "roc_auc 0.87" }]);
});
