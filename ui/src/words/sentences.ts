/**
 * What the server says in whole sentences, in the user's language.
 *
 * Rules:
 * - The core writes its sentences in English, as they stand in logs and on the command line. Here each is recognised by
 *   its form, and said again; one that nobody knows stays as it was written.
 * - What people wrote themselves (why, notes, a deprecation) is never changed.
 * - `test/sentences.json` has one of each form; the tests of the server hold it against what the server says.
 */

import { language } from ".";
import { forms } from "./ja/sentences";

export type Form = readonly [pattern: RegExp, says: (...parts: string[]) => string];

/** The fields of an answer that hold sentences, or lists of them. */
const FIELDS = new Set(["approved", "blocks", "detail", "problem", "problems", "reason", "reasons", "says", "stale"]);

export function translated(sentence: string, known: readonly Form[]): string {
  for (const [pattern, says] of known) {
    const found = pattern.exec(sentence);
    if (found) return says(...found.slice(1).map((part) => part ?? ""));
  }
  return sentence;
}

/** An answer with its sentences in the user's language. */
export function inWords<T>(answer: T): T {
  return language === "ja" ? (walked(answer, false) as T) : answer;
}

function walked(value: unknown, isSaid: boolean): unknown {
  if (typeof value === "string") return isSaid ? translated(value, forms) : value;
  if (Array.isArray(value)) return value.map((one) => walked(one, isSaid));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walked(one, FIELDS.has(name))]));
}
