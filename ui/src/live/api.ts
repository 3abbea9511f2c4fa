/**
 * Asking the API server.
 *
 * Rules:
 * - The session is the browser's own: Airflow's cookie goes with every request, and nothing is stored here.
 * - What has not changed is not sent again (ETag), and the object that the caller holds stays the same one.
 * - An answer that is no success becomes an `ApiError` with the server's own sentence.
 */

import { inWords } from "../words/sentences";

/** The path under which this Airflow lives: "/" as a rule. */
export const root = new URL(document.baseURI).pathname.replace(/\/?$/, "/");

export class ApiError extends Error {
  override name = "ApiError";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Kept {
  etag: string;
  answer: unknown;
}

const kept = new Map<string, Kept>();
const MOST_KEPT = 200;

/** What Lockstep's API says at a path, as "groups/churn". */
export async function ask<T>(path: string): Promise<T> {
  const before = kept.get(path);
  const response = await fetch(`${root}lockstep/api/${path}`, {
    headers: { Accept: "application/json", ...(before && { "If-None-Match": before.etag }) },
    cache: "no-store",
  });
  if (response.status === 304 && before) return before.answer as T;
  if (!response.ok) throw await errorOf(response);
  const answer = inWords((await response.json()) as T);
  const etag = response.headers.get("ETag");
  if (etag) {
    kept.delete(path);
    kept.set(path, { etag, answer });
    const oldest = kept.keys().next().value;
    if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
  }
  return answer;
}

/** Ask Airflow's own REST API to do something, with the user's own rights. */
export async function tell<T>(method: "POST" | "PATCH", path: string, body: unknown): Promise<T> {
  const response = await fetch(`${root}api/v2/${path}`, {
    method,
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await errorOf(response);
  return (await response.json()) as T;
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  return new ApiError(response.status, sentenceOf(text) || response.statusText || `HTTP ${response.status}`);
}

/** FastAPI says {"detail": "…"}, and of a bad field {"detail": [{"loc": […], "msg": "…"}]}. */
export function sentenceOf(text: string): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === "string") return inWords({ detail }).detail;
    if (Array.isArray(detail)) return detail.map((one) => String((one as { msg?: unknown }).msg ?? "")).join("; ");
    return detail === undefined ? "" : JSON.stringify(detail);
  } catch {
    return text.startsWith("<") ? "" : text.slice(0, 500);
  }
}
