/** What should be looked at, over all groups. */

import { Badge, Box, Flex, Table, Text } from "@chakra-ui/react";
import { useSearchParams } from "react-router-dom";
import type { Warning, Warnings } from "../api/types";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Pick } from "../parts/Pick";
import { Sheet } from "../parts/Sheet";
import { Nothing, Problems, Shown } from "../parts/State";
import { To } from "../parts/small";
import { words } from "../words";
import { counted, sorted } from "./warning";

export function WarningsPage() {
  const [asked, setAsked] = useSearchParams();
  const kind = asked.get("kind") ?? "";
  const seen = useLive<Warnings>("warnings");
  return (
    <Shown seen={seen}>
      {({ warnings, problems }) => {
        if (warnings.length === 0 && problems.length === 0) {
          return <Nothing title={words.warnings.none}>{words.warnings.noneWhy}</Nothing>;
        }
        if (warnings.length === 0) return <Problems all={problems} />;
        const errors = warnings.filter(({ is_error }) => is_error).length;
        const some = sorted(warnings).filter((one) => !kind || one.kind === kind);
        return (
          <>
            <Problems all={problems} />
            <Flex align="center" flexWrap="wrap" gap={3} mb={3}>
              <Pick
                label={words.warnings.filter}
                onPick={(picked) => setAsked(picked ? { kind: picked } : {}, { replace: true })}
                options={[
                  ["", words.warnings.all(warnings.length)],
                  ...counted(warnings).map(([one, n]): [string, string] => [one, `${words.warnings.kind[one]} ${n}`]),
                ]}
                picked={kind}
              />
              {errors > 0 && <Text fontSize="sm">{words.warnings.errors(errors)}</Text>}
            </Flex>
            {some.length === 0 ? <Nothing title={words.warnings.noneMatch} /> : <Lines warnings={some} />}
          </>
        );
      }}
    </Shown>
  );
}

function Lines({ warnings }: { warnings: Warning[] }) {
  return (
    <Sheet
      columns={[
        { key: "group", head: words.warnings.group },
        { key: "node", head: words.warnings.node },
        { key: "kind", head: words.warnings.kindOf },
        { key: "says", head: words.warnings.says },
      ]}
      height="max(20rem, 100dvh - 12rem)"
      label={words.app.warnings}
    >
      {warnings.map(({ group, node, kind, is_error, says }) => (
        <Table.Row key={`${group} ${node} ${kind} ${says}`}>
          <Table.Cell whiteSpace="nowrap">
            <To to={to.group(group)}>{group}</To>
          </Table.Cell>
          <Table.Cell whiteSpace="nowrap">
            <To to={to.versions(group, node)}>{node}</To>
          </Table.Cell>
          <Table.Cell whiteSpace="nowrap">
            <Flex gap={1}>
              <Badge>{words.warnings.kind[kind]}</Badge>
              {is_error && (
                <Badge colorPalette="red" title={words.warnings.blocksWhy}>
                  {words.warnings.blocks}
                </Badge>
              )}
            </Flex>
          </Table.Cell>
          <Table.Cell>
            <Box minWidth="16rem">{says}</Box>
          </Table.Cell>
        </Table.Row>
      ))}
    </Sheet>
  );
}
