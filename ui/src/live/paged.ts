/**
 * Long lists, page by page.
 *
 * Rules:
 * - A page is asked for when it is looked for, and then once; all pages that are there are looked at again when the
 *   `pulse` changes, which is what a small live question answers. What has not changed is not sent again.
 */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { ask } from "./api";
import { asError, type Seen } from "./live";

export interface Page {
  total: number;
  next: number | null;
}

export interface Pages<T extends Page> {
  seen: Seen<T[]>;
  more: (() => void) | null;
  isFetching: boolean;
}

/** `path` has a query already: "groups/churn/versions?limit=500". */
export function usePaged<T extends Page>(path: string, pulse: unknown): Pages<T> {
  const found = useInfiniteQuery({
    queryKey: ["paged", path],
    queryFn: ({ pageParam, signal }) => ask<T>(pageParam === null ? path : `${path}&before=${pageParam}`, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => last.next,
    refetchOnWindowFocus: false,
  });
  const { refetch, hasNextPage, isFetching, fetchNextPage } = found;
  const before = useRef(pulse);
  useEffect(() => {
    if (before.current !== undefined && before.current !== pulse) void refetch();
    before.current = pulse;
  }, [pulse, refetch]);
  return {
    seen: { data: found.data?.pages, error: asError(found.error), isLoading: found.isPending },
    more: hasNextPage && !isFetching ? () => void fetchNextPage() : null,
    isFetching,
  };
}
