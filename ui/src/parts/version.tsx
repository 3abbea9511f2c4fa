/** Small things about versions that several pages show alike. */

import { Badge, Box, Text } from "@chakra-ui/react";
import type { NodeVersion, VersionRow } from "../api/types";
import { figure, words } from "../words";
import { to } from "./address";
import { To } from "./small";

/** A link to the page of a version; that of a snapshot stands among the data. */
export function RowLink({ group, row }: { group: string; row: Pick<VersionRow, "ref" | "kind"> }) {
  return <To to={row.kind === "snapshot" ? to.snapshot(group, row.ref) : to.version(group, row.ref)}>{row.ref}</To>;
}

/** "roc_auc 0.85 · accuracy 0.81" */
export function Figures({ of, most = 3 }: { of: NodeVersion; most?: number }) {
  const names = Object.keys(of.figures);
  return (
    <>
      {names.slice(0, most).map((name, index) => (
        <Box as="span" key={name} whiteSpace="nowrap">
          {index > 0 && " · "}
          <Text as="span" color="fg.muted">
            {name}
          </Text>{" "}
          {figure(of.figures[name])}
        </Box>
      ))}
      {names.length > most && " …"}
    </>
  );
}

export function Missed({ of }: { of: NodeVersion }) {
  if (of.missed.length === 0) return null;
  return (
    <Badge colorPalette="orange" title={of.missed.join("; ")}>
      {words.versions.missed(of.missed.length)}
    </Badge>
  );
}

export function Removed() {
  return (
    <Badge title={words.versions.removedWhy} variant="outline">
      {words.versions.removed}
    </Badge>
  );
}
