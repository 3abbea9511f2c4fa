/** The tab of a task instance: what it made, or moved. */

import { Box, Heading, Stack } from "@chakra-ui/react";
import type { Made } from "../api/types";
import { Live, useLive } from "../live/live";
import { to } from "../parts/address";
import { Nothing, Shown } from "../parts/State";
import { StageBadge, To, VersionLink } from "../parts/small";
import { figure, words } from "../words";

interface Props {
  dagId?: string;
  runId?: string;
  taskId?: string;
  mapIndex?: string;
}

export function MadeTab(props: Props) {
  return (
    <Live>
      <Box data-lockstep="" p={4}>
        <What {...props} />
      </Box>
    </Live>
  );
}

function What({ dagId = "", runId = "", taskId = "", mapIndex = "-1" }: Props) {
  const asked = new URLSearchParams({ dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex });
  const seen = useLive<Made>(`made?${asked}`);
  return (
    <Shown seen={seen}>
      {({ group, versions, events }) =>
        group === null || versions.length + events.length === 0 ? (
          <Nothing title={words.made.none} />
        ) : (
          <Stack gap={4}>
            <To to={to.group(group)}>{group}</To>
            {versions.length > 0 && (
              <Box>
                <Heading size="sm">{words.made.versions}</Heading>
                {versions.map((version) => (
                  <Box key={version.ref}>
                    {version.kind === "snapshot" ? (
                      <To to={to.snapshot(group, version.ref)}>{version.ref}</To>
                    ) : (
                      <VersionLink group={group} version={version.ref} />
                    )}{" "}
                    {version.stage && <StageBadge stage={version.stage} />}{" "}
                    {Object.entries(version.figures)
                      .map(([name, value]) => `${name} ${figure(value)}`)
                      .join(", ")}
                  </Box>
                ))}
              </Box>
            )}
            {events.length > 0 && (
              <Box>
                <Heading size="sm">{words.made.events}</Heading>
                {events.map(({ kind, said, members }) => (
                  <Box key={said.entry}>
                    <To to={to.releases(group)}>{words.event[kind]}</To> {Object.values(members).join(", ")}
                  </Box>
                ))}
              </Box>
            )}
          </Stack>
        )
      }
    </Shown>
  );
}
