/** One release group: the graph, what blocks its gate, and what may be done. */

import { useParams } from "react-router-dom";
import type { GroupPage as Answer } from "../api/types";
import { useLive } from "../live/live";
import { Shown } from "../parts/State";

export function GroupPage({ group: given }: { group?: string }) {
  const { group = given } = useParams();
  const seen = useLive<Answer>(group ? `groups/${encodeURIComponent(group)}` : null);
  return <Shown seen={seen}>{(page) => <>{page.name}</>}</Shown>;
}
