/** One version: how good it is, where it comes from, where it went. */

import { Alert, Badge, Box, Flex, Grid, Stack, Table, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Navigate, useParams } from "react-router-dom";
import { Promote } from "../actions";
import type { GroupPage, Said, Stage, VersionPage as Version, VersionRow } from "../api/types";
import { Bars } from "../charts/Bars";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Facts } from "../parts/Facts";
import { Fold } from "../parts/Fold";
import { JobLinks } from "../parts/JobLinks";
import { Raw } from "../parts/Raw";
import { Section } from "../parts/Section";
import { Sheet } from "../parts/Sheet";
import { Shown } from "../parts/State";
import { Digest, SaidLine, StageBadge, To } from "../parts/small";
import { Trail } from "../parts/Trail";
import { Figures, Removed, RowLink } from "../parts/version";
import { bytes, count, figure, words } from "../words";
import { texts } from "./compare";
import { Curves } from "./VersionCharts";

export function VersionPage() {
  const { group = "", ref = "" } = useParams();
  const seen = useLive<Version>(`groups/${encodeURIComponent(group)}/versions/${encodeURIComponent(ref)}`);
  const canMove = seen.data?.kind === "model" && !seen.data.removed && waits(seen.data.stage);
  const about = useLive<GroupPage>(canMove ? `groups/${encodeURIComponent(group)}` : null);
  if (seen.data?.kind === "snapshot") return <Navigate replace to={to.snapshot(group, ref)} />;
  return (
    <>
      <Trail group={group} title={ref}>
        {seen.data?.stage && <StageBadge stage={seen.data.stage} />}
        {seen.data?.removed && <Removed />}
        {seen.data && (
          <Flex align="center" fontSize="sm" gap={4} ml="auto">
            {canMove && about.data && <Promote group={about.data} refs={[ref]} />}
            <To to={to.versions(group, seen.data.name)}>{words.version.others(seen.data.name)}</To>
          </Flex>
        )}
      </Trail>
      <Shown lines={10} seen={seen}>
        {(page) => <Parts group={group} page={page} />}
      </Shown>
    </>
  );
}

/** Whether a version could be promoted from where it stands. */
const waits = (stage: Stage | null): boolean => stage === "candidate" || stage === "archived";

function Parts({ group, page }: { group: string; page: Version }) {
  return (
    <Stack gap={3}>
      {page.removed && (
        <Alert.Root size="sm" status="info">
          <Alert.Indicator />
          <Alert.Title>{words.versions.removedLong}</Alert.Title>
        </Alert.Root>
      )}
      <Grid alignItems="start" gap={3} templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}>
        <Stack gap={3} minWidth={0}>
          {page.kind === "threshold" ? <Decides page={page} /> : <Metrics page={page} />}
          <Curves group={group} page={page} />
          {page.importance && <Importance of={page.importance} />}
        </Stack>
        <Stack gap={3} minWidth={0}>
          <Origin group={group} page={page} />
          <Went group={group} page={page} />
          <Lineage group={group} page={page} />
          <Parameters page={page} />
          <Serving page={page} />
        </Stack>
      </Grid>
      <Section title={words.version.manifest}>
        <Fold title={words.version.raw}>{() => <Raw value={page.manifest} />}</Fold>
      </Section>
    </Stack>
  );
}

/** The sentence that says of a metric that it misses what was expected, if it does. */
export const missOf = (name: string, missed: readonly string[]): string | undefined =>
  missed.find((sentence) => sentence.startsWith(`${name} is `));

function Metrics({ page }: { page: Version }) {
  const names = [...new Set([...Object.keys(page.expects), ...Object.keys(page.figures)])];
  if (names.length === 0) return <Section title={words.version.metrics}>{words.version.none}</Section>;
  return (
    <Section title={words.version.metrics}>
      <Sheet
        columns={[
          { key: "metric", head: words.version.metric },
          { key: "value", head: words.version.value, end: true },
          { key: "expected", head: words.version.expected },
        ]}
        label={words.version.metrics}
      >
        {names.map((name) => {
          const expected = page.expects[name];
          const miss = missOf(name, page.missed);
          return (
            <Table.Row key={name}>
              <Table.Cell>{name}</Table.Cell>
              <Table.Cell fontVariantNumeric="tabular-nums" textAlign="end">
                {figure(page.figures[name])}
              </Table.Cell>
              <Table.Cell>
                {expected && (
                  <Flex align="center" flexWrap="wrap" gap={2}>
                    {expected}
                    <Badge colorPalette={miss ? "orange" : "green"} title={miss}>
                      {miss ? `✕ ${words.version.notMet}` : `✓ ${words.version.met}`}
                    </Badge>
                  </Flex>
                )}
              </Table.Cell>
            </Table.Row>
          );
        })}
      </Sheet>
    </Section>
  );
}

function Decides({ page }: { page: Version }) {
  const { interval } = page;
  return (
    <Section title={words.version.decides}>
      <Facts
        facts={[
          page.policy && [words.version.policy, page.policy],
          page.rule && [words.version.rule, page.rule],
          ...Object.entries(page.figures).map(([name, value]): [string, ReactNode] => [name, figure(value)]),
          interval && [words.version.interval, `${figure(interval.low)} – ${figure(interval.high)}`],
        ]}
      />
    </Section>
  );
}

const FEW = 12;

function Importance({ of }: { of: Record<string, number> }) {
  const sorted = Object.entries(of).sort(([, one], [, other]) => Math.abs(other) - Math.abs(one));
  const bars = (entries: [string, number][]) => (
    <Bars
      bars={entries.map(([label, value]) => ({ label, value, text: figure(value) }))}
      caption={words.version.importance}
      most={sorted[0]?.[1] ?? 0}
    />
  );
  return (
    <Section title={words.version.importance}>
      {bars(sorted.slice(0, FEW))}
      {sorted.length > FEW && (
        <Fold title={words.version.importanceMore(sorted.length - FEW)}>{() => bars(sorted.slice(FEW))}</Fold>
      )}
    </Section>
  );
}

function Origin({ group, page }: { group: string; page: Version }) {
  const { source, said } = page;
  const snapshots = page.made_from.filter(({ kind }) => kind === "snapshot");
  const rows = Object.entries(page.rows).map(([split, n]) => `${split} ${count(n)}`);
  return (
    <Section title={words.version.origin}>
      <Facts
        facts={[
          [words.versions.made, <SaidLine key="said" said={said} />],
          said.job && [words.parts.job, <JobLinks job={said.job} key="job" />],
          snapshots.length > 0 && [
            words.version.snapshot,
            snapshots.map((row) => <RowLink group={group} key={row.ref} row={row} />),
          ],
          source?.commit && [
            words.version.commit,
            <>
              <Digest of={source.commit} />
              {source.dirty && ` ${words.version.dirty}`}
            </>,
          ],
          source && [
            words.version.source,
            <Box key="source" title={source.path}>
              <Digest of={source.sha256} />
            </Box>,
          ],
          rows.length > 0 && [words.version.rows, rows.join(" · ")],
          [words.version.digest, <Digest key="digest" of={page.digest} />],
          [words.version.entry, said.entry],
        ]}
      />
    </Section>
  );
}

function Went({ group, page }: { group: string; page: Version }) {
  return (
    <Section title={words.version.promotions}>
      {page.promotions.length === 0 && <Text fontSize="sm">{words.version.neverPromoted}</Text>}
      <Saids all={page.promotions} />
      <Text fontSize="sm" fontWeight="medium" mb={1} mt={3}>
        {words.version.releases}
      </Text>
      {page.releases.length === 0 && <Text fontSize="sm">{words.version.neverReleased}</Text>}
      <Stack as="ul" fontSize="sm" gap={1} listStyleType="none">
        {page.releases.map(({ digest, did, said, is_production }) => (
          <Box as="li" key={said.entry}>
            {words.version[did]} <To to={to.diff(group, digest)}>{digest.slice(0, 12)}</To>{" "}
            {is_production && <Badge colorPalette="green">{words.version.isProduction}</Badge>} <SaidLine said={said} />
          </Box>
        ))}
      </Stack>
    </Section>
  );
}

function Saids({ all }: { all: Said[] }) {
  return (
    <Stack as="ul" fontSize="sm" gap={2} listStyleType="none">
      {all.map((said) => (
        <Box as="li" key={said.entry}>
          <SaidLine said={said} />
          {said.job && <JobLinks job={said.job} />}
        </Box>
      ))}
    </Stack>
  );
}

function Lineage({ group, page }: { group: string; page: Version }) {
  return (
    <Section title={words.version.lineage}>
      <Facts
        facts={[
          [words.version.madeFrom, <Ways all={page.made_from} empty={words.version.first} group={group} key="from" />],
          [
            words.version.madeInto,
            <Ways all={page.made_into} empty={words.version.nothing} group={group} key="into" />,
          ],
        ]}
      />
    </Section>
  );
}

function Ways({ group, all, empty }: { group: string; all: VersionRow[]; empty: string }) {
  if (all.length === 0) return <>{empty}</>;
  return (
    <Stack as="ul" gap={1} listStyleType="none">
      {all.map((row) => (
        <Flex align="center" as="li" columnGap={2} flexWrap="wrap" key={row.ref}>
          <RowLink group={group} row={row} />
          {row.stage && <StageBadge stage={row.stage} />}
          <Text as="span" color="fg.muted">
            <Figures most={2} of={row} />
          </Text>
        </Flex>
      ))}
    </Stack>
  );
}

function Parameters({ page }: { page: Version }) {
  const given = Object.entries(texts(page.parameters));
  const estimator = Object.entries(page.estimator);
  if (page.kind !== "model") return null;
  return (
    <Section title={words.version.parameters}>
      {given.length === 0 ? (
        <Text fontSize="sm">{words.version.noParameters}</Text>
      ) : (
        <Facts facts={given.map(([name, value]) => [name, value ?? "–"])} />
      )}
      {estimator.length > 0 && (
        <Fold title={words.version.estimator(estimator.length)}>
          {() => <Facts facts={estimator.map(([name, value]) => [name, value])} />}
        </Fold>
      )}
    </Section>
  );
}

function Serving({ page }: { page: Version }) {
  const { onnx } = page;
  const libraries = Object.entries(page.libraries);
  return (
    <Section title={words.version.files}>
      <Sheet
        columns={[
          { key: "file", head: words.version.file },
          { key: "size", head: words.version.size, end: true },
          { key: "sha", head: "SHA-256" },
        ]}
        label={words.version.files}
      >
        {page.files.map(({ path, size, sha256 }) => (
          <Table.Row key={path}>
            <Table.Cell title={path}>{path.slice(path.lastIndexOf("/") + 1)}</Table.Cell>
            <Table.Cell textAlign="end" whiteSpace="nowrap">
              {bytes(size)}
            </Table.Cell>
            <Table.Cell>
              <Digest of={sha256} />
            </Table.Cell>
          </Table.Row>
        ))}
      </Sheet>
      <Box mt={3}>
        <Facts
          facts={[
            onnx && [
              words.version.onnx,
              onnx.used ? (
                words.version.onnxUsed(figure(onnx.largest_difference))
              ) : (
                <>
                  {words.version.onnxNot} {onnx.reason}
                </>
              ),
            ],
            libraries.length > 0 && [
              words.version.libraries,
              libraries.map(([name, version]) => `${name} ${version}`).join(", "),
            ],
          ]}
        />
      </Box>
    </Section>
  );
}
