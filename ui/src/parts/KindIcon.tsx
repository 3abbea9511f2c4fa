/** A shape for each kind of node, told apart without colour. */

import { Icon } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { Kind } from "../api/types";

const SHAPES: Record<Kind, ReactNode> = {
  dataset: (
    <>
      <ellipse cx="12" cy="6" rx="8" ry="3" />
      <path d="M4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6" />
      <path d="M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3" />
    </>
  ),
  model: (
    <>
      <path d="M12 2.5 20.5 7v10L12 21.5 3.5 17V7z" />
      <path d="M12 12 20.5 7M12 12v9.5M12 12 3.5 7" />
    </>
  ),
  threshold: (
    <>
      <path d="M3 18h18M3 6h18" />
      <path d="M14 3v18" strokeDasharray="3 2.4" />
      <circle cx="14" cy="12" r="2.6" />
    </>
  ),
  api: (
    <path d="M9 3C6.5 3 7 6 7 8.5S6 12 4 12c2 0 3 1 3 3.5S6.5 21 9 21M15 3c2.5 0 2 3 2 5.5S18 12 20 12c-2 0-3 1-3 3.5s.5 5.5-2 5.5" />
  ),
};

export function KindIcon({ kind }: { kind: Kind }) {
  return (
    <Icon aria-hidden color="fg.muted" fill="none" size="md" stroke="currentColor" strokeWidth={1.6} asChild>
      <svg viewBox="0 0 24 24">
        <title>{kind}</title>
        {SHAPES[kind]}
      </svg>
    </Icon>
  );
}
