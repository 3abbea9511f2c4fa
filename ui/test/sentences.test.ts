import { expect, test } from "vitest";
import { forms } from "../src/words/ja/sentences";
import sentences from "./sentences.json";

const { inWords, translated } = await import("../src/words/sentences");

test.each(sentences)("is said in Japanese, with each name in it: %s", (sentence) => {
  const said = translated(sentence, forms);
  expect(said).toMatch(/[ぁ-んァ-ヶ]/);
  const named = sentence.match(/\S+@\d+|`[^`]+`|[\da-f]{12}|\d+(\.\d+)? %|\w+_\w+|file:\S*\w/g) ?? [];
  expect(named.filter((one) => !said.includes(one))).toEqual([]);
});

test("what nobody knows stays as it was written", () => {
  expect(translated("The moon is full.", forms)).toBe("The moon is full.");
});

test("in English an answer is the very same object", () => {
  const answer = { reasons: ["churn is not in staging"] };
  expect(inWords(answer)).toBe(answer);
});
