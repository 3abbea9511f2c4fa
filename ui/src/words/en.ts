import { actions } from "./en/actions";
import { charts } from "./en/charts";
import { data, snapshot } from "./en/data";
import { event, group, groups, made } from "./en/group";
import { parts } from "./en/parts";
import { diff, releases } from "./en/releases";
import { search, warnings } from "./en/search";
import { compare, version, versions } from "./en/versions";

/** English. A text with values is a function of them. Group texts by the page that shows them. */
export const en = {
  app: {
    title: "Lockstep",
    groups: "Release groups",
    warnings: "Warnings",
    search: "Search",
    searchFor: "Search versions, jobs, commits, files",
    loading: "Loading",
    nothingFound: (query: string) => `Nothing found for “${query}”.`,
    notFound: "There is no such page.",
    back: "Back",
    close: "Close",
    cancel: "Cancel",
    more: "Show more",
    asTable: "As a table",
    asPlot: "As a plot",
    opensAirflow: "Open in Airflow",
  },
  problem: {
    title: "Something is in the way",
    away: "The registry can't be reached. What is shown was true when it was last seen.",
    server: "Airflow's API server does not answer. Trying again each second.",
    denied: "You may not see this.",
    signIn: "Your session has ended. Sign in again.",
  },
  stage: {
    candidate: "candidate",
    staging: "staging",
    production: "production",
    archived: "archived",
  },
  kind: {
    dataset: "dataset",
    model: "model",
    threshold: "threshold",
    api: "API",
    snapshot: "snapshot",
  },
  gate: {
    open: "Ready to release",
    closed: "Out of step",
    "nothing new": "In step",
  },
  card: {
    inStep: "All groups are in step",
    outOfStep: (n: number) => (n === 1 ? "1 group out of step" : `${n} groups out of step`),
    waiting: (n: number) => (n === 1 ? "1 release waits for approval" : `${n} releases wait for approval`),
    onHold: (n: number) => (n === 1 ? "1 group on hold" : `${n} groups on hold`),
    due: (n: number) => (n === 1 ? "1 group due for retraining" : `${n} groups due for retraining`),
    none: "No release group yet",
  },
  charts,
  compare,
  data,
  diff,
  parts,
  releases,
  search,
  snapshot,
  version,
  versions,
  warnings,
  actions,
  event,
  group,
  groups,
  made,
};
