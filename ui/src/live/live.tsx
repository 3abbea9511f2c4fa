/**
 * Answers that stay up to date.
 *
 * Rules:
 * - Whoever looks at the same path shares one request a second; nobody looking, or a hidden tab, makes none.
 * - What was seen last stays on the page while the server is away, with the error beside it; it is asked again each second.
 */

import type { ReactNode } from "react";
import useSWR, { mutate, SWRConfig, type SWRConfiguration } from "swr";
import { ApiError, ask } from "./api";

export const EVERY = 1000; // ms between two looks

const config: SWRConfiguration = {
  refreshInterval: EVERY,
  dedupingInterval: EVERY / 2,
  compare: Object.is, // unchanged answers are the same object
  onErrorRetry: (_error, _key, _config, again, options) => setTimeout(() => again(options), EVERY),
};

export function Live({ children }: { children: ReactNode }) {
  return <SWRConfig value={config}>{children}</SWRConfig>;
}

export interface Seen<T> {
  data: T | undefined;
  error: ApiError | undefined;
  isLoading: boolean;
}

/** What the API says at a path, looked at again each second; null asks nothing. */
export function useLive<T>(path: string | null, options: { every?: number | false; keep?: boolean } = {}): Seen<T> {
  const { data, error, isLoading } = useSWR<T, Error>(path, ask<T>, {
    refreshInterval: options.every === false ? 0 : (options.every ?? EVERY),
    keepPreviousData: options.keep ?? false,
  });
  return { data, error: asError(error), isLoading };
}

/** Several paths at once: there when all are, and wrong when one is. */
export function useLiveAll<T>(paths: readonly string[], every: number = EVERY): Seen<T[]> {
  const { data, error, isLoading } = useSWR<T[], Error>(
    paths.length ? paths : null,
    (all: readonly string[]) => Promise.all(all.map((path) => ask<T>(path))),
    { refreshInterval: every, compare: areSame },
  );
  return { data, error: asError(error), isLoading };
}

function areSame<T>(one: readonly T[] | undefined, other: readonly T[] | undefined): boolean {
  return (
    one === other || (one?.length === other?.length && one?.every((item, place) => item === other?.[place]) === true)
  );
}

export function asError(error: Error | undefined): ApiError | undefined {
  if (!error) return undefined;
  return error instanceof ApiError ? error : new ApiError(0, error.message);
}

/** Look again now: something was done that the answers will show. */
export async function lookAgain(): Promise<void> {
  await mutate(() => true);
}
