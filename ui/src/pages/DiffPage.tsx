/** What a release changes, counted in decisions. */

import { Box, Code, Grid, Stack, Table, Text } from "@chakra-ui/react";
import { useParams } from "react-router-dom";
import type { DecisionDiff, Population, Split } from "../api/types";
import { type Bar, Bars } from "../charts/Bars";
import { useLive } from "../live/live";
import { Section } from "../parts/Section";
import { Sheet } from "../parts/Sheet";
import { Nothing, Shown } from "../parts/State";
import { VersionLink } from "../parts/small";
import { Trail } from "../parts/Trail";
import { count, figure, share, signed, words } from "../words";
import { directions, interval, sharedMost, splitsMost } from "./deciding";
import { Scores } from "./Scores";

export function DiffPage() {
  const { group = "", digest = "" } = useParams();
  const seen = useLive<DecisionDiff>(`groups/${encodeURIComponent(group)}/diffs/${encodeURIComponent(digest)}`);
  const absent = seen.error?.status === 404 && seen.data === undefined;
  return (
    <>
      <Trail group={group} title={words.diff.of(digest.slice(0, 12))} />
      {absent ? (
        <Nothing title={words.diff.none}>
          <Stack gap={2} maxWidth="40rem">
            <Text>{words.diff.noneWhy}</Text>
            <Text>{words.diff.noneHow(group)}</Text>
            {seen.error && <Text fontSize="xs">{seen.error.message}</Text>}
          </Stack>
        </Nothing>
      ) : (
        <Shown lines={10} seen={seen}>
          {(diff) => <Parts diff={diff} group={group} />}
        </Shown>
      )}
    </>
  );
}

function Parts({ group, diff }: { group: string; diff: DecisionDiff }) {
  return (
    <Stack gap={3}>
      <Members diff={diff} group={group} />
      {diff.populations.map((population) => (
        <OnRows group={group} key={`${population.dataset} ${population.rows_of}`} population={population} />
      ))}
      <Section title={words.diff.splits}>
        {diff.splits.length === 0 ? (
          <Text fontSize="sm">{words.diff.splitsNone}</Text>
        ) : (
          <>
            <Text color="fg.muted" fontSize="sm" mb={2}>
              {words.diff.splitsLead}
            </Text>
            <Stack gap={3}>
              {diff.splits.map((split) => (
                <SplitBars
                  key={`${split.api} ${split.other} ${split.on} ${split.rows_of}`}
                  most={splitsMost(diff.splits)}
                  split={split}
                />
              ))}
            </Stack>
          </>
        )}
      </Section>
    </Stack>
  );
}

function Members({ group, diff }: { group: string; diff: DecisionDiff }) {
  const names = [...new Set([...Object.keys(diff.new.members), ...Object.keys(diff.old.members)])];
  const link = (ref: string | undefined) => (ref ? <VersionLink group={group} version={ref} /> : "–");
  return (
    <Section title={words.diff.members}>
      {diff.old.release === null && (
        <Text fontSize="sm" mb={2}>
          {words.diff.first}
        </Text>
      )}
      <Sheet
        columns={[
          { key: "member", head: words.diff.member },
          { key: "old", head: words.diff.old },
          { key: "new", head: words.diff.new },
        ]}
        height="16rem"
        label={words.diff.members}
      >
        {names.map((name) => {
          const [old, now] = [diff.old.members[name], diff.new.members[name]];
          return (
            <Table.Row key={name}>
              <Table.Cell>{name}</Table.Cell>
              <Table.Cell>{link(old)}</Table.Cell>
              <Table.Cell>{old === now ? words.diff.unchanged : link(now)}</Table.Cell>
            </Table.Row>
          );
        })}
      </Sheet>
    </Section>
  );
}

function OnRows({ group, population }: { group: string; population: Population }) {
  const { rows, rows_of, dataset, thresholds, models } = population;
  return (
    <Stack gap={3}>
      <Text color="fg.muted" fontSize="sm">
        {words.diff.lead(count(rows), rows_of, dataset)}
      </Text>
      <Flips thresholds={thresholds} />
      <Scores models={models} thresholds={thresholds} />
      <Metrics models={models} />
      <Examples group={group} thresholds={thresholds} />
    </Stack>
  );
}

function Flips({ thresholds }: { thresholds: Population["thresholds"] }) {
  const most = sharedMost(thresholds);
  return (
    <Section title={words.diff.flips}>
      {thresholds.length === 0 && <Text fontSize="sm">{words.diff.flipsNone}</Text>}
      <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", xl: "repeat(2, minmax(0, 1fr))" }}>
        {thresholds.map((one) => (
          <Box key={one.threshold} minWidth={0}>
            <Text fontWeight="medium">
              {one.threshold}{" "}
              {one.flips && (
                <Text as="span" color="fg.muted" fontSize="sm" fontWeight="normal">
                  {words.diff.flipsSays(share(one.flips.rate), count(one.flips.count), count(one.flips.of))}
                </Text>
              )}
            </Text>
            <Text color="fg.muted" fontSize="sm">
              {words.diff.yes}: {one.old && `${share(one.old.yes.rate)} → `}
              {share(one.new.yes.rate)} · {words.diff.cut}: {one.old && `${figure(one.old.cut)} → `}
              {figure(one.new.cut)}
            </Text>
            {one.flips ? (
              <Bars
                bars={directions(one).map(
                  ([direction, of, like]): Bar => ({
                    label: words.diff[direction],
                    value: of.rate ?? 0,
                    low: of.low,
                    high: of.high,
                    text: `${share(of.rate)} (${interval(of, share)})`,
                    like,
                  }),
                )}
                caption={words.diff.flipsOf(one.threshold)}
                heads={[words.diff.direction, words.diff.rate, words.diff.interval]}
                most={most}
              />
            ) : (
              <Text fontSize="sm">{words.diff.first}</Text>
            )}
          </Box>
        ))}
      </Grid>
    </Section>
  );
}

function Metrics({ models }: { models: Population["models"] }) {
  if (models.length === 0) return null;
  return (
    <Section title={words.diff.metrics}>
      <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", xl: "repeat(2, minmax(0, 1fr))" }}>
        {models.map(({ model, labelled, metrics }) => (
          <Box key={model} minWidth={0}>
            <Text fontSize="sm" fontWeight="medium" mb={1}>
              {words.diff.metricsOf(model, count(labelled))}
            </Text>
            <Sheet
              columns={[
                { key: "metric", head: words.version.metric },
                { key: "old", head: words.diff.old, end: true },
                { key: "new", head: words.diff.new, end: true },
                { key: "delta", head: words.diff.change, end: true },
              ]}
              label={words.diff.metricsOf(model, count(labelled))}
            >
              {Object.entries(metrics).map(([name, { old, new: now, delta }]) => (
                <Table.Row fontVariantNumeric="tabular-nums" key={name}>
                  <Table.Cell>{name}</Table.Cell>
                  <Table.Cell textAlign="end">{figure(old)}</Table.Cell>
                  <Table.Cell textAlign="end">{figure(now)}</Table.Cell>
                  <Table.Cell textAlign="end">{signed(delta)}</Table.Cell>
                </Table.Row>
              ))}
            </Sheet>
          </Box>
        ))}
      </Grid>
    </Section>
  );
}

function Examples({ group, thresholds }: { group: string; thresholds: Population["thresholds"] }) {
  const some = thresholds.filter(({ examples }) => examples.length > 0);
  if (some.length === 0) return null;
  return (
    <Section title={words.diff.examples}>
      <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", xl: "repeat(2, minmax(0, 1fr))" }}>
        {some.map(({ threshold, examples }) => (
          <Box key={threshold} minWidth={0}>
            <Text fontSize="sm" fontWeight="medium" mb={1}>
              {words.diff.examplesOf(threshold)}
            </Text>
            <Sheet
              columns={[
                { key: "key", head: words.diff.key },
                { key: "old", head: words.diff.scoreOld, end: true },
                { key: "new", head: words.diff.scoreNew, end: true },
              ]}
              height="18rem"
              label={words.diff.examplesOf(threshold)}
            >
              {examples.map(({ key, old, new: now }) => (
                <Table.Row fontVariantNumeric="tabular-nums" key={key}>
                  <Table.Cell>{key}</Table.Cell>
                  <Table.Cell textAlign="end">{figure(old)}</Table.Cell>
                  <Table.Cell textAlign="end">{figure(now)}</Table.Cell>
                </Table.Row>
              ))}
            </Sheet>
          </Box>
        ))}
      </Grid>
      <Text color="fg.muted" fontSize="sm" mt={2}>
        <Code>{words.diff.examplesHow(group)}</Code>
      </Text>
    </Section>
  );
}

function SplitBars({ split, most }: { split: Split; most: number }) {
  const sides = [[words.diff.old, split.old, 1] as const, [words.diff.new, split.new, 0] as const];
  const bars = sides.flatMap(([label, of, like]): Bar[] =>
    of
      ? [
          {
            label,
            value: of.rate ?? 0,
            low: of.low,
            high: of.high,
            text: `${share(of.rate)} (${interval(of, share)})`,
            like,
          },
        ]
      : [],
  );
  const name = words.diff.splitOf(split.api, split.other, split.on);
  return (
    <Box>
      <Text fontSize="sm" fontWeight="medium">
        {name}
      </Text>
      <Bars bars={bars} caption={name} most={most} />
    </Box>
  );
}
