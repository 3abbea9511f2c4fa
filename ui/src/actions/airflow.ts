/**
 * What people do goes to Airflow's own REST API, with their own session: its permissions and its audit log apply.
 *
 * The fields are those of the DAGs' forms (plugins/lockstep_airflow/forms.py and dags.py).
 */

import type { DagAction, Waiting } from "../api/types";
import { tell } from "../live/api";
import { lookAgain } from "../live/live";

export interface Started {
  dag_id: string;
  dag_run_id: string;
}

const part = encodeURIComponent;

/** Start a DAG; `note` is the run's note, which is kept as the reason where the form has no field for one. */
export async function start(dag: DagAction, conf: Record<string, unknown>, note = ""): Promise<Started> {
  const body = { logical_date: null, conf, ...(note && { note }) };
  const started = await tell<Started>("POST", `dags/${part(dag.dag_id)}/dagRuns`, body);
  void lookAgain();
  return started;
}

/** Answer a question that waits in Airflow's required actions. */
export async function answer(waiting: Waiting, word: "Approve" | "Reject", why: string): Promise<void> {
  const { dag_id, run_id, task_id, map_index } = waiting;
  const path = `dags/${part(dag_id)}/dagRuns/${part(run_id)}/taskInstances/${part(task_id)}/${map_index}/hitlDetails`;
  await tell("PATCH", path, { chosen_options: [word], params_input: { why: why || null } });
  void lookAgain();
}

export interface Training {
  models: string[];
  parameters: Record<string, unknown>;
  force: boolean;
  promote: boolean;
  where: string;
  engine: string;
}

/** The form of <group>_retrain; a blank field says nothing. */
export function trainingConf(training: Training): Record<string, unknown> {
  const { where, engine, ...rest } = training;
  return { ...rest, ...(where.trim() && { where: where.trim() }), ...(engine.trim() && { engine: engine.trim() }) };
}

/** The form of <group>_promote: several versions move by one entry. */
export function promotionConf(refs: readonly string[]): Record<string, unknown> {
  return { version: refs.join(" ") };
}

/** The form of <group>_rollback; no release is the one before. */
export function rollbackConf(to: string | null, why: string): Record<string, unknown> {
  return { why, ...(to && { to }) };
}
