/** The parameters of a retraining, as people write them: JSON, by model. */

import { words } from "../words";

const said = words.actions.retrain;
type Read = { value: Record<string, unknown>; problem: null } | { value: null; problem: string };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Read it; of what can't be used, one sentence that says what is wrong. Blank is no parameters. */
export function readParameters(text: string, models: readonly string[]): Read {
  if (!text.trim()) return { value: {}, problem: null };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { value: null, problem: said.badJson((error as Error).message) };
  }
  if (!isObject(value)) return { value: null, problem: said.notAnObject };
  for (const [name, own] of Object.entries(value)) {
    if (!models.includes(name)) return { value: null, problem: said.unknownModel(name, models.join(", ")) };
    if (!isObject(own)) return { value: null, problem: said.notParameters(name) };
  }
  return { value, problem: null };
}
