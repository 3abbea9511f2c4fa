/** The tab of a task instance: what it made, or moved. */

import { Stack } from "@chakra-ui/react";
import type { Made } from "../api/types";
import { Live, useLive } from "../live/live";
import { Nothing, Shown } from "../parts/State";
import { VersionLink } from "../parts/small";
import { words } from "../words";

interface Props {
  dagId?: string;
  runId?: string;
  taskId?: string;
  mapIndex?: string;
}

export function MadeTab(props: Props) {
  return (
    <Live>
      <What {...props} />
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
          <Nothing title={words.app.notFound} />
        ) : (
          <Stack p={4}>
            {versions.map((version) => (
              <VersionLink group={group} key={version.ref} version={version.ref} />
            ))}
          </Stack>
        )
      }
    </Shown>
  );
}
