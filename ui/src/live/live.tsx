/**
 * Answers that stay up to date.
 *
 * Rules:
 * - Whoever looks at the same path shares one request a second; nobody looking, or a hidden tab, makes none.
 * - What was seen last stays on the page while the server is away, with the error beside it.
 */

import { keepPreviousData, QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError, ask } from "./api";

export const EVERY = 1000; // ms between two looks

const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: false, // the next look comes in a second
      staleTime: 0,
      gcTime: 60_000,
      refetchOnWindowFocus: true,
      structuralSharing: false, // unchanged answers are the same object already
    },
  },
});

export function Live({ children }: { children: ReactNode }) {
  return <QueryClientProvider client={client}>{children}</QueryClientProvider>;
}

export interface Seen<T> {
  data: T | undefined;
  error: ApiError | undefined;
  isLoading: boolean;
}

/** What the API says at a path, looked at again each second; null asks nothing. */
export function useLive<T>(path: string | null, options: { every?: number | false; keep?: boolean } = {}): Seen<T> {
  const found = useQuery<T, Error>({
    queryKey: [path],
    queryFn: ({ signal }) => ask<T>(path ?? "", signal),
    enabled: path !== null,
    refetchInterval: options.every ?? EVERY,
    ...(options.keep && { placeholderData: keepPreviousData }),
  });
  const error = found.error
    ? found.error instanceof ApiError
      ? found.error
      : new ApiError(0, found.error.message)
    : undefined;
  return { data: found.data, error, isLoading: found.isPending && path !== null };
}

/** Look again now: something was done that the answers will show. */
export function lookAgain(): Promise<void> {
  return client.invalidateQueries();
}
