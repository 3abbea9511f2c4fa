/** The job in which something was done, with the ways to its logs. */

import { Box, Link } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { Job } from "../api/types";
import { words } from "../words";
import { to } from "./address";
import { To } from "./small";

export function JobLinks({ job }: { job: Job }) {
  return (
    <Box>
      <Box>
        {job.system}: {job.run}
        {job.task && ` › ${job.task}`}
        {job.attempt > 1 && ` (${words.parts.attempt(job.attempt)})`}
      </Box>
      <Box display="flex" flexWrap="wrap" gap={3}>
        <TaskLink job={job} />
        {job.console && <Away to={job.console}>{words.parts.console}</Away>}
      </Box>
    </Box>
  );
}

/** To the task in Airflow, where its log is; else to wherever the log is. */
export function TaskLink({ job: { dag_id, run_id, task_id, log } }: { job: Job }) {
  if (dag_id && run_id && task_id) return <To to={to.task(dag_id, run_id, task_id)}>{words.parts.taskLog}</To>;
  return <Away to={log}>{words.parts.log}</Away>;
}

/** A link out of Airflow. An address that is no web page stays a text. */
export function Away({ to: target, children }: { to: string; children: ReactNode }) {
  if (!target) return null;
  if (!/^https?:\/\//u.test(target)) return <>{target}</>;
  return (
    <Link color="fg.info" href={target} rel="noreferrer" target="_blank">
      {children}
    </Link>
  );
}
