/** The tab "Release group" of a DAG that `release_dags` made: the page of its group. */

import { Box } from "@chakra-ui/react";
import { Live } from "../live/live";
import { GroupPage } from "../pages/GroupPage";
import { Nothing } from "../parts/State";
import { words } from "../words";

/** The group of a DAG: "churn" of "churn_retrain"; null where it is none of Lockstep's DAGs. */
export function groupOf(dagId: string): string | null {
  const found = /^(.+)_(retrain|promote|release|rollback|hold|resume|watch|mlflow)$/u.exec(dagId);
  return found?.[1] ?? null;
}

export function GroupTab({ dagId }: { dagId?: string }) {
  const group = dagId ? groupOf(dagId) : null;
  return (
    <Live>
      <Box data-lockstep="" p={4}>
        {group ? <GroupPage group={group} /> : <Nothing title={words.app.notFound} />}
      </Box>
    </Live>
  );
}
