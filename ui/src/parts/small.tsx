/** Small things that every page shows alike: a stage, a time, a version, a digest, a person. */

import { Badge, Code, Link, Text } from "@chakra-ui/react";
import { type ReactNode, useSyncExternalStore } from "react";
import { Link as RouterLink } from "react-router-dom";
import type { GateStatus, Said, Stage } from "../api/types";
import { ago, at, words } from "../words";
import { to } from "./address";

const STAGES: Record<Stage, string> = {
  candidate: "gray",
  staging: "blue",
  production: "green",
  archived: "gray",
};

export function StageBadge({ stage }: { stage: Stage }) {
  return (
    <Badge colorPalette={STAGES[stage]} variant={stage === "archived" ? "outline" : "subtle"}>
      {words.stage[stage]}
    </Badge>
  );
}

const GATES: Record<GateStatus, string> = { open: "blue", closed: "orange", "nothing new": "green" };

export function GateBadge({ status }: { status: GateStatus }) {
  return <Badge colorPalette={GATES[status]}>{words.gate[status]}</Badge>;
}

/** "3 hours ago"; the exact time on hovering, and for machines. */
export function When({ at: iso }: { at: string }) {
  useSyncExternalStore(onMinute, minute);
  return (
    <time dateTime={iso} title={at(iso)}>
      {ago(iso)}
    </time>
  );
}

const minute = () => Math.floor(Date.now() / 60_000);

function onMinute(tell: () => void): () => void {
  const clock = setInterval(tell, 20_000); // an age in words moves by minutes; it is drawn anew when one has passed
  return () => clearInterval(clock);
}

export function Digest({ of }: { of: string }) {
  return <Code title={of}>{of.slice(0, 12)}</Code>;
}

/** A link within the UI, by Airflow's own router. */
export function To({
  to: target,
  children,
  ...rest
}: {
  to: string;
  children: ReactNode;
  "aria-label"?: string;
  "data-hit"?: boolean;
}) {
  return (
    <Link asChild color="fg.info" {...rest}>
      <RouterLink to={target}>{children}</RouterLink>
    </Link>
  );
}

export function VersionLink({ group, version }: { group: string; version: string }) {
  return <To to={to.version(group, version)}>{version}</To>;
}

/** Who, when and why, in one line; on a coloured ground in the colour of its words, which stands out enough. */
export function SaidLine({ said, onColour = false }: { said: Said; onColour?: boolean }) {
  return (
    <Text as="span" color={onColour ? "inherit" : "fg.muted"}>
      {said.by}, <When at={said.at} />
      {said.why && <>: {said.why}</>}
    </Text>
  );
}
