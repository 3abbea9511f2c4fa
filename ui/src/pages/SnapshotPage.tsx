/** One snapshot: what is in it, column by column, and what was kept out of it. */

import { Box, Grid, Stack, Table, Text } from "@chakra-ui/react";
import { useParams } from "react-router-dom";
import type { SnapshotPage as Page } from "../api/types";
import { Bars } from "../charts/Bars";
import { useLive } from "../live/live";
import { Facts } from "../parts/Facts";
import { JobLinks } from "../parts/JobLinks";
import { Section } from "../parts/Section";
import { Sheet } from "../parts/Sheet";
import { Shown } from "../parts/State";
import { Digest, SaidLine } from "../parts/small";
import { Trail } from "../parts/Trail";
import { Removed } from "../parts/version";
import { bytes, count, share, words } from "../words";
import { Columns } from "./Columns";

export function SnapshotPage() {
  const { group = "", ref = "" } = useParams();
  const seen = useLive<Page>(`groups/${encodeURIComponent(group)}/snapshots/${encodeURIComponent(ref)}`);
  return (
    <>
      <Trail group={group} title={ref}>
        {seen.data?.removed && <Removed />}
      </Trail>
      <Shown lines={10} seen={seen}>
        {(page) => (
          <Stack gap={3}>
            <Grid
              alignItems="start"
              gap={3}
              templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}
            >
              <About page={page} />
              <Quarantine page={page} />
            </Grid>
            <Columns columns={page.columns} />
            {page.quarantine.length > 0 && <Rows rows={page.quarantine} />}
            <Grid
              alignItems="start"
              gap={3}
              templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}
            >
              <Checks checks={page.checks} />
              <Inputs inputs={page.inputs} />
            </Grid>
          </Stack>
        )}
      </Shown>
    </>
  );
}

function About({ page }: { page: Page }) {
  const { said, build } = page;
  const all = page.rows + page.quarantined;
  return (
    <Section title={words.snapshot.about}>
      <Facts
        facts={[
          [words.data.rows, count(page.rows)],
          [
            words.snapshot.splits,
            Object.entries(page.rows_by_split)
              .map(([split, rows]) => `${split} ${count(rows)}`)
              .join(" · "),
          ],
          [words.data.quarantined, `${count(page.quarantined)} (${share(page.quarantined / (all || 1))})`],
          [words.data.taken, <SaidLine key="said" said={said} />],
          said.job && [words.parts.job, <JobLinks job={said.job} key="job" />],
          [words.snapshot.build, [build.kind, build.why].filter(Boolean).join(": ")],
          [words.snapshot.digest, <Digest key="digest" of={page.digest} />],
        ]}
      />
    </Section>
  );
}

function Quarantine({ page }: { page: Page }) {
  const reasons = Object.entries(page.reasons).sort(([, one], [, other]) => other - one);
  return (
    <Section title={words.snapshot.reasons}>
      {reasons.length === 0 ? (
        <Text fontSize="sm">{words.snapshot.quarantineNone}</Text>
      ) : (
        <Bars
          bars={reasons.map(([label, value]) => ({ label, value, text: count(value), like: 1 }))}
          caption={words.snapshot.reasons}
        />
      )}
    </Section>
  );
}

function Rows({ rows }: { rows: Page["quarantine"] }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const label = words.snapshot.firstRows(rows.length);
  return (
    <Section
      aside={
        <Text color="fg.muted" fontSize="sm">
          {label} · {words.snapshot.privateHint}
        </Text>
      }
      title={words.snapshot.quarantine}
    >
      <Sheet columns={names.map((name) => ({ key: name, head: name }))} height="20rem" label={label}>
        {rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a row in quarantine need not have a key
          <Table.Row key={index}>
            {names.map((name) => (
              <Table.Cell key={name} maxWidth="20rem" overflow="hidden" textOverflow="ellipsis" whiteSpace="nowrap">
                {row[name] ?? "–"}
              </Table.Cell>
            ))}
          </Table.Row>
        ))}
      </Sheet>
    </Section>
  );
}

function Checks({ checks }: { checks: Page["checks"] }) {
  return (
    <Section title={words.snapshot.checks}>
      {checks.length === 0 ? (
        <Text fontSize="sm">{words.snapshot.none}</Text>
      ) : (
        <Sheet
          columns={[
            { key: "column", head: words.snapshot.column },
            { key: "check", head: words.snapshot.check },
            { key: "effect", head: words.snapshot.effect },
            { key: "failed", head: words.snapshot.failed, end: true },
          ]}
          label={words.snapshot.checks}
        >
          {checks.map(({ column, check, hard, failed }) => (
            <Table.Row key={`${column} ${check}`}>
              <Table.Cell>{column}</Table.Cell>
              <Table.Cell>{check}</Table.Cell>
              <Table.Cell>{hard ? words.snapshot.hard : words.snapshot.soft}</Table.Cell>
              <Table.Cell fontWeight={failed > 0 ? "semibold" : undefined} textAlign="end">
                {count(failed)}
              </Table.Cell>
            </Table.Row>
          ))}
        </Sheet>
      )}
    </Section>
  );
}

function Inputs({ inputs }: { inputs: Page["inputs"] }) {
  return (
    <Section title={words.snapshot.inputs}>
      {inputs.length === 0 ? (
        <Text fontSize="sm">{words.snapshot.none}</Text>
      ) : (
        <Sheet
          columns={[
            { key: "file", head: words.snapshot.file },
            { key: "size", head: words.snapshot.size, end: true },
            { key: "version", head: words.snapshot.version },
          ]}
          label={words.snapshot.inputs}
        >
          {inputs.map(({ path, size, etag, version }) => (
            <Table.Row key={path}>
              <Table.Cell>
                <Box overflowWrap="anywhere">{path}</Box>
              </Table.Cell>
              <Table.Cell textAlign="end" whiteSpace="nowrap">
                {size === null ? "–" : bytes(size)}
              </Table.Cell>
              <Table.Cell>{version ?? etag ?? "–"}</Table.Cell>
            </Table.Row>
          ))}
        </Sheet>
      )}
    </Section>
  );
}
