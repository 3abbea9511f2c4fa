/**
 * What the API server answers, as the pages read it. `plugins/lockstep_airflow/ui/` writes exactly this.
 *
 * Rules:
 * - All routes are GET, below /lockstep/api, and change nothing; what people do goes to Airflow's own REST API.
 * - A time is ISO 8601 in UTC; a digest has 64 hexadecimal characters; a ref is "churn@3".
 * - A group is shown to whoever may read its DAG <group>_release; of others not even the name is told (404).
 * - Every answer has an ETag; asked again with If-None-Match it is 304 without a body where nothing has changed.
 * - An error is {detail: string} with 401, 403, 404, 422 or 503 (the registry is away).
 */

export type Kind = "dataset" | "model" | "threshold" | "api";
export type Stage = "candidate" | "staging" | "production" | "archived";
export type GateStatus = "open" | "closed" | "nothing new";

/** In which job something was done. `dag_id`, `run_id` and `task_id` are there where the system is airflow. */
export interface Job {
  system: string;
  run: string;
  task: string;
  attempt: number;
  log: string;
  commit: string;
  dag_id: string | null;
  run_id: string | null;
  task_id: string | null;
  console: string | null; // page of the job in Google's console
}

/** Who did something, when, why, in which job: one entry of the log. */
export interface Said {
  entry: number;
  at: string;
  by: string;
  why: string;
  job: Job | null;
}

// ---- GET /groups ---------------------------------------------------------------------------------------------------

export interface Groups {
  groups: GroupSummary[];
  /** Half-configured: what keeps Lockstep from showing anything, with the next step; null as a rule. */
  problem: string | null;
}

export interface GroupSummary {
  name: string;
  registry: string; // its address, without secrets
  problem: string | null; // the registry is away, or can't be read; what was known last is shown all the same
  gate: { status: GateStatus; reasons: string[]; blocked: number } | null; // the first three reasons
  production: { release: string; said: Said } | null;
  hold: Said | null;
  waiting: Waiting | null;
  /** The newest snapshot against the one that production was trained on, by their profiles; null: none, or not yet known. */
  drift: DriftSummary | null;
  /** The newest event that says retraining is due, if production has not been released since. */
  due: { at: string; says: string } | null;
  warnings: number;
  counts: { models: number; thresholds: number; apis: number; versions: number };
}

export interface DriftSummary {
  reference: string; // refs
  current: string;
  drifted: boolean;
  worst: { column: string; psi: number } | null;
  says: string;
}

/** A question that waits for a person, in Airflow's required actions. */
export interface Waiting {
  dag_id: string;
  run_id: string;
  task_id: string;
  map_index: number;
  subject: string;
  body: string; // Markdown
  since: string;
  set: string | null; // digest of the set that is asked about
  may_answer: boolean;
  reason: string; // why not, if not
}

// ---- GET /groups/{group} -------------------------------------------------------------------------------------------

export interface GroupPage {
  name: string;
  registry: string;
  problem: string | null;
  head: number; // entries of the log
  verdict: Verdict | null;
  hold: Said | null;
  waiting: Waiting | null;
  production: ReleaseRow | null;
  /** Digest of what stands in staging as a whole, where it fits together. */
  staging_set: string | null;
  nodes: GraphNode[];
  edges: GraphEdge[];
  dags: Record<DagName, DagAction>;
  warnings: Warning[];
  approval: boolean; // whether a person has to approve
  retrain_when: string | null; // the rule, as it was declared
}

export interface Verdict {
  status: GateStatus;
  head: number;
  reasons: string[];
  members: { kind: Kind; name: string; version: string | null; reasons: string[]; fits: boolean }[];
  conditions: { condition: string; holds: boolean; says: string }[];
  approved: string;
}

export type DagName = "retrain" | "promote" | "release" | "rollback" | "hold" | "resume" | "watch";

/** One of the group's DAGs, and whether this user may start it. */
export interface DagAction {
  dag_id: string;
  exists: boolean;
  paused: boolean;
  may_run: boolean;
  reason: string; // why it can't be started: no right, paused, not there; empty if it can
  running: { run_id: string; state: string; since: string | null } | null; // the newest run that has not ended
}

export interface GraphNode {
  name: string;
  kind: Kind;
  description: string; // what was declared, in a few words: a policy, a target, a source
  deprecated: string | null;
  deprecated_after: string | null; // a date
  only_for: string[] | null;
  shared: boolean;
  production: NodeVersion | null;
  staging: NodeVersion | null;
  candidate: NodeVersion | null; // the newest version that was never promoted, if it is newer than staging's
  blocks: string[]; // what the verdict says of it
  stale: string[]; // e.g. "a newer snapshot, customers@4, is there"
  consumers: string[]; // everything that hangs on it, direct or not
  versions: number;
}

export interface NodeVersion {
  ref: string;
  digest: string;
  stage: Stage | null; // null for a snapshot
  at: string;
  by: string;
  figures: Record<string, number | null>; // the metrics of a model, the value of a threshold, the rows of a snapshot
  missed: string[];
}

export interface GraphEdge {
  from: string;
  to: string;
  kind: "data" | "builds_on" | "score" | "decides" | "explains" | "agrees";
  blocks: string[]; // sentences of the verdict that are about this very edge
}

// ---- GET /groups/{group}/versions?node=&stage=&before=&limit= --------------------------------------------------------

/** Newest first; `before` is the number of an entry: only older ones. */
export interface Versions {
  total: number;
  versions: VersionRow[];
  next: number | null; // give it as `before`
}

export interface VersionRow extends NodeVersion {
  name: string;
  kind: "snapshot" | "model" | "threshold";
  said: Said;
  removed: boolean;
}

// ---- GET /groups/{group}/versions/{ref} ------------------------------------------------------------------------------

export interface VersionPage extends VersionRow {
  parameters: Record<string, unknown>;
  source: { sha256: string; path: string; commit: string; dirty: boolean } | null;
  made_from: VersionRow[];
  made_into: VersionRow[];
  promotions: Said[];
  releases: { digest: string; did: "released" | "rolled_back"; said: Said; is_production: boolean }[];
  curves: Curve[];
  calibration: { predicted: number[]; observed: number[]; brier_score: number } | null;
  policy: string | null; // of a threshold, in words
  rule: string | null; // its values, in words
  interval: { low: number; high: number } | null;
  rows: Record<string, number>; // by split
  expects: Record<string, string>;
  estimator: Record<string, string>; // all parameters of the estimator
  files: { path: string; sha256: string; size: number }[];
  libraries: Record<string, string>;
  onnx: { used: boolean; largest_difference: number | null; reason: string } | null;
  importance: Record<string, number> | null;
  manifest: unknown; // the file as it is
}

/** A curve, point by point: x ascending. Of a threshold: precision by recall, on validation and test. */
export interface Curve {
  name: string;
  x_label: string;
  y_label: string;
  x: number[];
  y: number[];
}

// ---- GET /groups/{group}/history?before=&limit=&kind=&kind= ----------------------------------------------------------

export interface History {
  total: number;
  events: HistoryEvent[];
  next: number | null;
}

export type HistoryKind = "released" | "rolled_back" | "promoted" | "approved" | "rejected" | "held" | "resumed";

export interface HistoryEvent {
  kind: HistoryKind;
  said: Said;
  digest: string | null; // of the release or of the set
  left: string | null; // of a rollback: where it went away from
  members: Record<string, string>; // name → ref
  is_production: boolean;
  can_go_back: boolean; // a rollback could go to it: it was released, is not production, and its files are there
  has_diff: boolean;
}

export interface ReleaseRow {
  digest: string;
  said: Said;
  members: Record<string, string>;
  previous: string | null; // what one rollback would go to
}

// ---- GET /groups/{group}/diffs/{digest} ------------------------------------------------------------------------------

/** The decision diff that was kept of a set, as docs/guides/releases.md describes it. */
export interface DecisionDiff {
  group: string;
  old: { release: string | null; members: Record<string, string> };
  new: { release: string; members: Record<string, string> };
  populations: Population[];
  splits: Split[];
}

export interface Share {
  count: number;
  of: number;
  rate: number | null;
  low: number;
  high: number;
}

export interface Population {
  dataset: string;
  rows: number;
  rows_of: string;
  source: Record<string, string>;
  models: {
    model: string;
    old: string | null;
    new: string;
    labelled: number;
    metrics: Record<string, { old: number | null; new: number | null; delta: number | null }>;
    scores: { of: string; old: Bins | null; new: Bins; moved: { mean: number | null; most: number | null } | null }[];
  }[];
  thresholds: {
    threshold: string;
    old: { version: string; model: string; cut: number | null; yes: Share } | null;
    new: { version: string; model: string; cut: number | null; yes: Share };
    flips: Share | null;
    no_to_yes: Share | null;
    yes_to_no: Share | null;
    examples: { key: string; old: number | null; new: number | null }[];
  }[];
}

export interface Bins {
  start: number;
  width: number;
  counts: number[];
}

export interface Split {
  api: string;
  other: string;
  on: string;
  rows_of: string;
  old: Share | null;
  new: Share;
}

// ---- GET /groups/{group}/data ----------------------------------------------------------------------------------------

export interface DataPage {
  datasets: {
    name: string;
    source: string;
    deprecated: string | null;
    /** What production was trained on. */
    reference: string | null;
    snapshots: SnapshotRow[]; // newest first, at most 200
  }[];
}

export interface SnapshotRow {
  ref: string;
  digest: string;
  said: Said;
  rows: number;
  quarantined: number;
  removed: boolean;
}

// ---- GET /groups/{group}/snapshots/{ref} -----------------------------------------------------------------------------

export interface SnapshotPage extends SnapshotRow {
  dataset: string;
  rows_by_split: Record<string, number>;
  columns: ColumnProfile[];
  reasons: Record<string, number>; // why rows are in quarantine → how many
  quarantine: Record<string, string | null>[]; // the first 100 rows, without private columns
  build: { kind: string; why: string };
  inputs: { path: string; size: number | null; etag: string | null; version: string | null }[];
  checks: { column: string; check: string; hard: boolean; failed: number }[];
}

/** Over all splits. Numbers have quantiles and bins, words their most frequent values; private columns neither. */
export interface ColumnProfile {
  name: string;
  type: string;
  private: boolean;
  count: number;
  nulls: number;
  min: number | null;
  max: number | null;
  mean: number | null;
  std: number | null;
  quantiles: Record<string, number>;
  bins: Bins | null;
  distinct: number | null;
  values: Record<string, number>;
}

// ---- GET /groups/{group}/drift?dataset=&reference= -------------------------------------------------------------------

/** Each snapshot behind the reference, column by column, by their profiles (no row is read). */
export interface DriftPage {
  dataset: string;
  reference: string | null;
  limit: number; // of the PSI
  snapshots: {
    ref: string;
    at: string;
    drifted: boolean;
    says: string;
    columns: { name: string; psi: number | null; distance: number | null; drifted: boolean; says: string }[];
  }[];
}

// ---- GET /warnings ---------------------------------------------------------------------------------------------------

export interface Warnings {
  warnings: Warning[];
  problems: string[]; // of registries that can't be read: what is not known can't be warned of
}

export interface Warning {
  group: string;
  node: string;
  kind: "deprecated" | "deprecated_after" | "only_for" | "missed" | "stale";
  is_error: boolean; // keeps something from being promoted or released
  says: string;
}

// ---- GET /search?q= --------------------------------------------------------------------------------------------------

export interface Found {
  query: string;
  hits: Hit[]; // best first, at most 50
  more: boolean;
  problems: string[]; // as above
}

export interface Hit {
  what: "group" | "node" | "version" | "release" | "job" | "commit" | "file";
  title: string;
  says: string;
  group: string;
  ref: string | null; // of a version
  digest: string | null; // of a release
  node: string | null;
}

// ---- GET /made?dag_id=&run_id=&task_id=&map_index= -------------------------------------------------------------------

/** What a task instance made, or moved. */
export interface Made {
  group: string | null;
  versions: VersionRow[];
  events: HistoryEvent[];
}

// ---- GET /find/{ref} -------------------------------------------------------------------------------------------------

/** The group on whose pages a version is shown. */
export interface Place {
  group: string;
}

// ---- GET /summary ----------------------------------------------------------------------------------------------------

export interface Summary {
  groups: number;
  out_of_step: string[]; // names of groups whose gate is closed
  waiting: string[]; // names of groups where a release waits for approval
  on_hold: string[];
  due: string[];
  problems: string[]; // sentences, each once
}
