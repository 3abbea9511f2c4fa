/** All release groups: what is in step, what is not, and what waits for somebody. */

import { Table } from "@chakra-ui/react";
import type { Groups } from "../api/types";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Nothing, Problem, Shown } from "../parts/State";
import { GateBadge, To } from "../parts/small";
import { words } from "../words";

export function GroupsPage() {
  const seen = useLive<Groups>("groups");
  return (
    <Shown seen={seen}>
      {({ groups, problem }) => (
        <>
          {problem && <Problem>{problem}</Problem>}
          {groups.length === 0 && !problem && <Nothing title={words.card.none} />}
          <Table.Root>
            <Table.Body>
              {groups.map((group) => (
                <Table.Row key={group.name}>
                  <Table.Cell>
                    <To to={to.group(group.name)}>{group.name}</To>
                  </Table.Cell>
                  <Table.Cell>{group.gate && <GateBadge status={group.gate.status} />}</Table.Cell>
                </Table.Row>
              ))}
            </Table.Body>
          </Table.Root>
        </>
      )}
    </Shown>
  );
}
