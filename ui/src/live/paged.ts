/**
 * Long lists, page by page.
 *
 * Rules:
 * - A page is asked for when it is looked for, and then once; all pages that are there are looked at again when the
 *   `pulse` changes, which is what a small live question answers. What has not changed is not sent again.
 */

import { useEffect, useRef } from "react";
import useSWRInfinite from "swr/infinite";
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
  const { data, error, isLoading, isValidating, setSize, mutate } = useSWRInfinite<T, Error>(
    (index: number, last: T | null) => {
      if (index === 0) return path;
      return last === null || last.next === null ? null : `${path}&before=${last.next}`;
    },
    ask<T>,
    { refreshInterval: 0, revalidateFirstPage: false, revalidateOnFocus: false },
  );
  const before = useRef(pulse);
  useEffect(() => {
    if (before.current !== undefined && before.current !== pulse) void mutate();
    before.current = pulse;
  }, [pulse, mutate]);
  const hasMore = data !== undefined && data[data.length - 1]?.next != null;
  return {
    seen: { data, error: asError(error), isLoading },
    more: hasMore && !isValidating ? () => void setSize((size) => size + 1) : null,
    isFetching: isValidating,
  };
}
