/** What may be done with a group, each as a button with its dialog. */

import { useState } from "react";
import type { DagAction, GroupPage, NodeVersion, Waiting } from "../api/types";
import { figure, words } from "../words";
import { ActionButton } from "./ActionButton";
import { answer, promotionConf, rollbackConf, start, type Training, trainingConf } from "./airflow";
import { Json, Line, One, Some, Tick, Why } from "./fields";
import { readParameters } from "./parameters";

const said = words.actions;

export type Actor = Pick<GroupPage, "name" | "dags" | "nodes" | "hold">;

/** Promote candidates to staging: those that are newer than what stands there, or exactly `refs`. */
export function Promote({ group, refs }: { group: Actor; refs?: string[] }) {
  const candidates = candidatesOf(group);
  const [chosen, setChosen] = useState<string[] | null>(null);
  const [why, setWhy] = useState("");
  const versions = refs ?? chosen ?? candidates.map(({ name }) => name);
  const noCandidate = !refs && candidates.length === 0 ? said.promote.none : "";
  return (
    <ActionButton
      name={refs?.length === 1 ? said.promote.to(refs[0] ?? "") : said.promote.name}
      onClose={() => {
        setChosen(null);
        setWhy("");
      }}
      problem={versions.length === 0 ? said.promote.pickOne : null}
      reason={group.dags.promote.reason || noCandidate}
      run={() => start(group.dags.promote, promotionConf(versions), why)}
      text={said.promote.text}
      title={said.promote.title(group.name)}
    >
      {!refs && <Some label={said.promote.pick} onChange={setChosen} options={candidates} value={versions} />}
      <Why onChange={setWhy} value={why} />
    </ActionButton>
  );
}

/** The newest candidates that can be promoted: models, as thresholds move with theirs, that met what is expected. */
export function candidatesOf({ nodes }: Pick<Actor, "nodes">): { name: string; says: string }[] {
  return nodes.flatMap(({ kind, candidate }) =>
    kind === "model" && candidate && candidate.missed.length === 0
      ? [{ name: candidate.ref, says: headline(candidate) }]
      : [],
  );
}

function headline(version: NodeVersion): string {
  const first = Object.entries(version.figures)[0];
  return first ? `${first[0]} ${figure(first[1])}` : "";
}

export function ReleaseNow({ group }: { group: Pick<Actor, "name" | "dags"> }) {
  const [why, setWhy] = useState("");
  return (
    <ActionButton
      name={said.release.name}
      onClose={() => setWhy("")}
      reason={group.dags.release.reason}
      run={() => start(group.dags.release, {}, why)}
      text={said.release.text}
      title={said.release.title(group.name)}
    >
      <Why onChange={setWhy} value={why} />
    </ActionButton>
  );
}

const untouched = { parameters: "", force: false, promote: false, where: "", engine: "" };

export function Retrain({ group }: { group: Pick<Actor, "name" | "dags" | "nodes"> }) {
  const models = group.nodes.filter(({ kind }) => kind === "model").map(({ name }) => name);
  const [chosen, setChosen] = useState<string[] | null>(null);
  const [form, setForm] = useState(untouched);
  const [why, setWhy] = useState("");
  const parameters = readParameters(form.parameters, models);
  const training: Training = { ...form, models: chosen ?? models, parameters: parameters.value ?? {} };
  return (
    <ActionButton
      name={said.retrain.name}
      onClose={() => {
        setChosen(null);
        setForm(untouched);
        setWhy("");
      }}
      problem={training.models.length === 0 ? said.retrain.pickOne : parameters.problem}
      reason={group.dags.retrain.reason}
      run={() => start(group.dags.retrain, trainingConf(training), why)}
      text={said.retrain.text}
      title={said.retrain.title(group.name)}
    >
      <Some
        label={said.retrain.models}
        onChange={setChosen}
        options={models.map((name) => ({ name }))}
        value={training.models}
      />
      <Json
        help={said.retrain.parametersHelp}
        label={said.retrain.parameters}
        onChange={(text) => setForm({ ...form, parameters: text })}
        problem={parameters.problem}
        value={form.parameters}
      />
      <Tick label={said.retrain.promote} onChange={(on) => setForm({ ...form, promote: on })} value={form.promote} />
      <Tick label={said.retrain.force} onChange={(on) => setForm({ ...form, force: on })} value={form.force} />
      <Line
        help={said.retrain.whereHelp}
        label={said.retrain.where}
        onChange={(text) => setForm({ ...form, where: text })}
        value={form.where}
      />
      <Line
        help={said.retrain.engineHelp}
        label={said.retrain.engine}
        onChange={(text) => setForm({ ...form, engine: text })}
        value={form.engine}
      />
      <Why onChange={setWhy} value={why} />
    </ActionButton>
  );
}

/** Go back: to `release` exactly, or to one of those that can be gone back to, the one before first. */
export function Rollback({
  dag,
  group,
  release,
  releases = [],
}: {
  dag: DagAction;
  group: string;
  release?: string;
  releases?: { digest: string; says: string }[];
}) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [why, setWhy] = useState("");
  const target = release ?? chosen ?? releases[0]?.digest ?? null;
  return (
    <ActionButton
      colorPalette="red"
      name={release ? said.rollback.toThis : said.rollback.name}
      onClose={() => {
        setChosen(null);
        setWhy("");
      }}
      problem={why.trim() ? null : said.whyMissing}
      reason={dag.reason || (target ? "" : said.rollback.none)}
      run={() => start(dag, rollbackConf(target, why))}
      text={said.rollback.text}
      title={said.rollback.title(group)}
    >
      {!release && releases.length > 0 && (
        <One
          label={said.rollback.to}
          onChange={setChosen}
          options={releases.map(({ digest, says }) => ({ name: digest, says }))}
          value={target ?? ""}
        />
      )}
      <Why onChange={setWhy} required value={why} />
    </ActionButton>
  );
}

/** Hold, or lift the hold: whichever applies. */
export function HoldOrResume({ group }: { group: Pick<Actor, "name" | "dags" | "hold"> }) {
  const [why, setWhy] = useState("");
  const texts = group.hold ? said.resume : said.hold;
  const dag = group.hold ? group.dags.resume : group.dags.hold;
  return (
    <ActionButton
      name={texts.name}
      onClose={() => setWhy("")}
      problem={why.trim() ? null : said.whyMissing}
      reason={dag.reason}
      run={() => start(dag, { why })}
      text={texts.text}
      title={texts.title(group.name)}
    >
      <Why onChange={setWhy} required value={why} />
    </ActionButton>
  );
}

/**
 * The two answers to a question that waits. Once given, the question is gone from the group: whoever shows it keeps it as
 * long as the dialog is open, which says how it went.
 */
export function Answers({
  group,
  waiting,
  onDialog,
}: {
  group: string;
  waiting: Waiting;
  onDialog: (isOpen: boolean) => void;
}) {
  const [why, setWhy] = useState("");
  const reason = waiting.may_answer ? "" : waiting.reason;
  const shared = {
    onOpen: () => onDialog(true),
    onClose: () => {
      setWhy("");
      onDialog(false);
    },
    reason,
  };
  return (
    <>
      <ActionButton
        {...shared}
        colorPalette="green"
        name={said.approve.name}
        run={async () => {
          await answer(waiting, "Approve", why);
          return said.approve.done;
        }}
        text={said.approve.text}
        title={said.approve.title(group)}
        variant="solid"
      >
        <Why onChange={setWhy} value={why} />
      </ActionButton>
      <ActionButton
        {...shared}
        colorPalette="red"
        name={said.reject.name}
        problem={why.trim() ? null : said.whyMissing}
        run={async () => {
          await answer(waiting, "Reject", why);
          return said.reject.done;
        }}
        text={said.reject.text}
        title={said.reject.title(group)}
      >
        <Why onChange={setWhy} required value={why} />
      </ActionButton>
    </>
  );
}
