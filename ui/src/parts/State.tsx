/** What stands where an answer should be: it loads, it failed, there is nothing. */

import { Alert, Box, EmptyState, Skeleton, Stack, VisuallyHidden } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { ApiError } from "../live/api";
import type { Seen } from "../live/live";
import { words } from "../words";

export function Problem({ title, children }: { title?: string; children: ReactNode }) {
  return (
    <Notice role="alert" status="warning" title={title ?? words.problem.title}>
      {children}
    </Notice>
  );
}

/** What keeps something from being known. */
export function Problems({ all }: { all: readonly string[] }) {
  return all.map((one) => <Problem key={one}>{one}</Problem>);
}

/** Something that whoever opens the page should see first. */
export function Notice({
  title,
  status,
  role = "status",
  children,
}: {
  title: string;
  status: "info" | "warning";
  role?: "status" | "alert";
  children: ReactNode;
}) {
  return (
    <Alert.Root role={role} status={status}>
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{title}</Alert.Title>
        {/* a block, since it may hold buttons */}
        <Box>{children}</Box>
      </Alert.Content>
    </Alert.Root>
  );
}

export function Nothing({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <EmptyState.Root>
      <EmptyState.Content>
        <EmptyState.Title>{title}</EmptyState.Title>
        {children && <EmptyState.Description>{children}</EmptyState.Description>}
      </EmptyState.Content>
    </EmptyState.Root>
  );
}

export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <Box aria-busy="true" role="status">
      <VisuallyHidden>{words.app.loading}</VisuallyHidden>
      <Stack gap={3}>
        {Array.from({ length: lines }, (_, line) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: bars that are all alike
          <Skeleton height={6} key={line} />
        ))}
      </Stack>
    </Box>
  );
}

function says(error: ApiError): string {
  if (error.status === 401) return words.problem.signIn;
  if (error.status === 403) return words.problem.denied;
  return error.status === 0 ? words.problem.server : error.message;
}

/** The content once it is there; above it what is wrong, if something is. */
export function Shown<T>({
  seen,
  lines,
  children,
}: {
  seen: Seen<T>;
  lines?: number;
  children: (data: T) => ReactNode;
}) {
  const problem = seen.error && <Problem>{says(seen.error)}</Problem>;
  if (seen.data === undefined) return problem ?? <Loading {...(lines && { lines })} />;
  return (
    <>
      {problem}
      {children(seen.data)}
    </>
  );
}
