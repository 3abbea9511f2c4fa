/** The profile of a snapshot, a line for each column; its details on demand. */

import { Badge, Box, Grid, IconButton, Input, Table, Text, VisuallyHidden } from "@chakra-ui/react";
import { Fragment, useState } from "react";
import type { ColumnProfile } from "../api/types";
import { Bars } from "../charts/Bars";
import { Chart } from "../charts/Chart";
import { asSteps, sum } from "../charts/histogram";
import { Spark } from "../charts/Spark";
import { Facts } from "../parts/Facts";
import { Section } from "../parts/Section";
import { Sheet } from "../parts/Sheet";
import { count, figure, share, words } from "../words";

const MANY = 12;

export function Columns({ columns }: { columns: ColumnProfile[] }) {
  const [find, setFind] = useState("");
  const [open, setOpen] = useState<readonly string[]>([]);
  const found = columns.filter(({ name }) => name.toLowerCase().includes(find.trim().toLowerCase()));
  const heads = ["low", "middle", "high", "mean", "distinct"] as const;
  const toggle = (name: string) =>
    setOpen((before) => (before.includes(name) ? before.filter((one) => one !== name) : [...before, name]));
  return (
    <Section
      aside={
        columns.length > MANY && (
          <Input
            aria-label={words.snapshot.find}
            maxWidth="14rem"
            onChange={(event) => setFind(event.target.value)}
            placeholder={words.snapshot.find}
            size="xs"
            type="search"
            value={find}
          />
        )
      }
      title={words.snapshot.columns}
    >
      <Sheet
        columns={[
          { key: "open", head: <VisuallyHidden>{words.snapshot.details}</VisuallyHidden> },
          { key: "column", head: words.snapshot.column },
          { key: "type", head: words.snapshot.type },
          { key: "shape", head: words.snapshot.shape },
          { key: "nulls", head: words.snapshot.nulls, end: true },
          ...heads.map((key) => ({ key, head: words.snapshot[key], end: true })),
        ]}
        height="40rem"
        label={words.snapshot.columns}
      >
        {found.map((column) => {
          const isOpen = open.includes(column.name);
          return (
            <Fragment key={column.name}>
              <Line column={column} isOpen={isOpen} onToggle={toggle} />
              {isOpen && (
                <Table.Row>
                  <Table.Cell />
                  <Table.Cell colSpan={4 + heads.length}>
                    <Details column={column} />
                  </Table.Cell>
                </Table.Row>
              )}
            </Fragment>
          );
        })}
      </Sheet>
    </Section>
  );
}

interface LineProps {
  column: ColumnProfile;
  isOpen: boolean;
  onToggle: (name: string) => void;
}

function Line({ column, isOpen, onToggle }: LineProps) {
  const { name, nulls, count: rows, quantiles, mean, std, distinct } = column;
  return (
    <Table.Row fontVariantNumeric="tabular-nums">
      <Table.Cell py={0} width="2rem">
        {!column.private && (
          <IconButton
            aria-expanded={isOpen}
            aria-label={words.snapshot.open(name)}
            onClick={() => onToggle(name)}
            size="2xs"
            variant="ghost"
          >
            {isOpen ? "▾" : "▸"}
          </IconButton>
        )}
      </Table.Cell>
      <Table.Cell>
        {name}{" "}
        {column.private && (
          <Badge title={words.snapshot.privateWhy} variant="outline">
            {words.snapshot.private}
          </Badge>
        )}
      </Table.Cell>
      <Table.Cell color="fg.muted">{column.type}</Table.Cell>
      <Table.Cell py={1}>
        <Shape column={column} />
      </Table.Cell>
      <Table.Cell textAlign="end">{share(nulls / (rows || 1))}</Table.Cell>
      {["0.05", "0.5", "0.95"].map((at) => (
        <Table.Cell key={at} textAlign="end">
          {at in quantiles ? figure(quantiles[at]) : ""}
        </Table.Cell>
      ))}
      <Table.Cell textAlign="end" whiteSpace="nowrap">
        {mean === null ? "" : `${figure(mean)} ± ${figure(std)}`}
      </Table.Cell>
      <Table.Cell textAlign="end">{distinct === null ? "" : count(Math.round(distinct))}</Table.Cell>
    </Table.Row>
  );
}

/** A small histogram of numbers, the first few values of words. */
function Shape({ column }: { column: ColumnProfile }) {
  const { name, bins, min, max, values, count: rows } = column;
  if (bins && bins.counts.length > 0) {
    return <Spark bins={bins} says={words.snapshot.histogramSays(name, figure(min), figure(max))} />;
  }
  const most = Object.entries(values).sort(([, one], [, other]) => other - one);
  if (most.length === 0) return null;
  return (
    <Box fontSize="xs" maxWidth="16rem">
      {most.slice(0, 2).map(([value, n]) => (
        <Box key={value} position="relative" px={1}>
          <Box bg="bg.emphasized" height="100%" left={0} position="absolute" width={`${(n / (rows || 1)) * 100}%`} />
          <Text overflow="hidden" position="relative" textOverflow="ellipsis" whiteSpace="nowrap">
            {value} {share(n / (rows || 1))}
          </Text>
        </Box>
      ))}
    </Box>
  );
}

function Details({ column }: { column: ColumnProfile }) {
  const { name, bins, quantiles, values, count: rows, min, max } = column;
  const most = Object.entries(values).sort(([, one], [, other]) => other - one);
  const rest = rows - column.nulls - sum(most.map(([, n]) => n));
  const bars = [...most, ...(rest > 0 && most.length > 0 ? [[words.snapshot.other, rest] as const] : [])];
  const edges = bins ? Array.from({ length: bins.counts.length + 1 }, (_, at) => bins.start + at * bins.width) : [];
  const at = Object.entries(quantiles).sort(([one], [other]) => Number(one) - Number(other));
  return (
    <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", lg: "2fr 1fr" }}>
      {bins && bins.counts.length > 0 && (
        <Chart
          caption={name}
          height={160}
          says={words.snapshot.histogramSays(name, figure(min), figure(max))}
          series={[{ label: words.snapshot.count, draw: "filled", ...asSteps(edges, bins.counts) }]}
          xLabel={name}
          yFormat="count"
          yLabel={words.snapshot.count}
        />
      )}
      {bars.length > 0 && (
        <Bars
          bars={bars.map(([label, n]) => ({ label, value: n, text: `${count(n)} (${share(n / (rows || 1))})` }))}
          caption={words.snapshot.values}
        />
      )}
      {at.length > 0 && (
        <Facts
          facts={[
            ["min", figure(min)],
            ...at.map(([place, value]): [string, string] => [share(Number(place)), figure(value)]),
            ["max", figure(max)],
          ]}
        />
      )}
    </Grid>
  );
}
