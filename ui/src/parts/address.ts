/** Where the pages are: below Airflow's /plugin/lockstep. The router adds the path under which Airflow lives. */

const base = "/plugin/lockstep";
const part = encodeURIComponent;

export const to = {
  groups: base,
  warnings: `${base}/warnings`,
  search: (query: string) => `${base}/search?q=${part(query)}`,
  group: (group: string) => `${base}/groups/${part(group)}`,
  versions: (group: string, node?: string) =>
    `${base}/groups/${part(group)}/versions${node ? `?node=${part(node)}` : ""}`,
  version: (group: string, ref: string) => `${base}/groups/${part(group)}/versions/${part(ref)}`,
  compare: (group: string, refs: string[]) => `${base}/groups/${part(group)}/compare?refs=${refs.map(part).join(",")}`,
  releases: (group: string) => `${base}/groups/${part(group)}/releases`,
  diff: (group: string, digest: string) => `${base}/groups/${part(group)}/releases/${part(digest)}`,
  data: (group: string) => `${base}/groups/${part(group)}/data`,
  snapshot: (group: string, ref: string) => `${base}/groups/${part(group)}/data/${part(ref)}`,
  // Airflow's own pages
  dag: (dag: string) => `/dags/${part(dag)}`,
  run: (dag: string, run: string) => `/dags/${part(dag)}/runs/${part(run)}`,
  task: (dag: string, run: string, task: string) => `/dags/${part(dag)}/runs/${part(run)}/tasks/${part(task)}`,
};
