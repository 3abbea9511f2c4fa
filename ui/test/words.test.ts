import { describe, expect, test } from "vitest";

const { chosen, ago } = await import("../src/words");
const { root, sentenceOf } = await import("../src/live/api");
const { groupOf } = await import("../src/places/GroupTab");

describe("the language", () => {
  test("is what Airflow keeps, whatever the browser likes", () => {
    expect(chosen("ja", ["en-US"])).toBe("ja");
    expect(chosen("en", ["ja"])).toBe("en");
  });
  test("is the browser's where Airflow keeps none", () => {
    expect(chosen(null, ["ja-JP", "en"])).toBe("ja");
    expect(chosen(null, ["fr", "ja"])).toBe("ja");
  });
  test("is English where Airflow speaks one that we don't have", () => {
    expect(chosen("fr", ["ja"])).toBe("en");
    expect(chosen(null, ["fr"])).toBe("en");
  });
});

test("a time is told in the largest unit that it fills", () => {
  const now = Date.parse("2026-11-28T12:00:00Z");
  expect(ago("2026-11-28T09:30:00Z", now)).toBe("2 hours ago");
  expect(ago("2026-11-27T11:00:00Z", now)).toBe("yesterday");
  expect(ago("2026-11-28T12:00:03Z", now)).toBe("now"); // a clock that runs ahead
});

test("the server's own sentence is shown, and no page of HTML", () => {
  expect(sentenceOf('{"detail":"It is away."}')).toBe("It is away.");
  expect(sentenceOf('{"detail":[{"loc":["q"],"msg":"Field required"}]}')).toBe("Field required");
  expect(sentenceOf("<html>")).toBe("");
});

test("an Airflow below a path is asked below that path", () => {
  expect(root).toBe("/air/");
});

test("a DAG's group is told by its name, and other DAGs have none", () => {
  expect(groupOf("churn_release")).toBe("churn");
  expect(groupOf("north_churn_hold")).toBe("north_churn");
  expect(groupOf("churn_mlflow")).toBe("churn");
  expect(groupOf("etl")).toBeNull();
});
