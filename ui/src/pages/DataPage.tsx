/** The data of a group: snapshots over time, and how far they have drifted. */

import { Alert, Badge, Grid, Stack, Table, Text, VisuallyHidden } from "@chakra-ui/react";
import { useParams } from "react-router-dom";
import type { DriftPage, DataPage as Page, SnapshotRow } from "../api/types";
import { Chart } from "../charts/Chart";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Fold } from "../parts/Fold";
import { Section } from "../parts/Section";
import { Sheet } from "../parts/Sheet";
import { Nothing, Shown } from "../parts/State";
import { To, When } from "../parts/small";
import { Trail } from "../parts/Trail";
import { Removed } from "../parts/version";
import { count, figure, share, words } from "../words";
import { type Drifting, drifting } from "./drifting";

type Dataset = Page["datasets"][number];

export function DataPage() {
  const { group = "" } = useParams();
  const seen = useLive<Page>(`groups/${encodeURIComponent(group)}/data`);
  return (
    <>
      <Trail group={group} />
      <Shown lines={8} seen={seen}>
        {({ datasets }) =>
          datasets.length === 0 ? (
            <Nothing title={words.data.none} />
          ) : (
            <Stack gap={3}>
              {datasets.map((dataset) => (
                <One dataset={dataset} group={group} key={dataset.name} />
              ))}
            </Stack>
          )
        }
      </Shown>
    </>
  );
}

function One({ group, dataset }: { group: string; dataset: Dataset }) {
  const { name, source, deprecated, reference, snapshots } = dataset;
  return (
    <Section
      aside={
        <Text color="fg.muted" fontSize="sm" overflowWrap="anywhere">
          {words.data.source}: {source}
        </Text>
      }
      title={name}
    >
      {deprecated && (
        <Alert.Root mb={3} size="sm" status="warning">
          <Alert.Indicator />
          <Alert.Title>
            {words.data.deprecated}: {deprecated}
          </Alert.Title>
        </Alert.Root>
      )}
      {snapshots.length === 0 ? (
        <Nothing title={words.data.noSnapshots}>{words.data.noSnapshotsHow}</Nothing>
      ) : (
        <Stack gap={4}>
          <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}>
            <Over snapshots={snapshots} what="rows" />
            <Over snapshots={snapshots} what="quarantined" />
          </Grid>
          {reference === null ? (
            <Text fontSize="sm">{words.data.noReference}</Text>
          ) : (
            <Drift dataset={name} group={group} />
          )}
          <Snapshots group={group} reference={reference} snapshots={snapshots} />
        </Stack>
      )}
    </Section>
  );
}

function Over({ snapshots, what }: { snapshots: SnapshotRow[]; what: "rows" | "quarantined" }) {
  const inOrder = [...snapshots].reverse();
  const values = inOrder.map((one) => one[what]);
  const label = what === "rows" ? words.data.rows : words.data.quarantined;
  return (
    <Chart
      caption={what === "rows" ? words.data.rowsOver : words.data.quarantineOver}
      fromZero
      height={160}
      says={words.data.rowsSays(count(values[0] ?? 0), count(values.at(-1) ?? 0))}
      series={[
        {
          label,
          x: inOrder.map(({ said }) => Date.parse(said.at)),
          y: values,
          draw: "points",
          like: what === "rows" ? 0 : 1,
        },
      ]}
      xFormat="time"
      xLabel={words.data.taken}
      yFormat="count"
      yLabel={label}
    />
  );
}

const LINES = 6;
const FEW = 8;

function Drift({ group, dataset }: { group: string; dataset: string }) {
  const asked = new URLSearchParams({ dataset });
  const seen = useLive<DriftPage>(`groups/${encodeURIComponent(group)}/drift?${asked}`);
  return (
    <Shown lines={4} seen={seen}>
      {(page) => {
        const lines = drifting(page);
        if (lines.length === 0) return <Text fontSize="sm">{words.data.nothingNewer}</Text>;
        return <Lines lines={lines} page={page} />;
      }}
    </Shown>
  );
}

function Lines({ page, lines }: { page: DriftPage; lines: Drifting[] }) {
  const drawn = lines.slice(0, LINES);
  const worst = lines[0];
  const caption = words.data.driftOver(page.reference ?? "–");
  const table = (some: Drifting[]) => (
    <Sheet
      columns={[
        { key: "column", head: words.data.column },
        { key: "worst", head: words.data.worst, end: true },
        { key: "last", head: words.data.last, end: true },
        { key: "state", head: words.data.drift },
        { key: "says", head: words.data.says },
      ]}
      height="20rem"
      label={caption}
    >
      {some.map((one) => (
        <Table.Row key={one.name}>
          <Table.Cell>{one.name}</Table.Cell>
          <Table.Cell textAlign="end">{figure(one.worst)}</Table.Cell>
          <Table.Cell textAlign="end">{figure(one.last)}</Table.Cell>
          <Table.Cell>
            <Badge colorPalette={one.drifted ? "orange" : "gray"}>
              {one.drifted ? words.data.drifted : words.data.steady}
            </Badge>
          </Table.Cell>
          <Table.Cell minWidth="18rem">{one.says}</Table.Cell>
        </Table.Row>
      ))}
    </Sheet>
  );
  return (
    <Stack gap={2}>
      <Chart
        caption={caption}
        height={240}
        limits={[{ at: page.limit, label: words.data.limit }]}
        says={words.data.driftSays(
          drawn.map(({ name }) => name).join(", "),
          `${worst?.name ?? ""} ${figure(worst?.worst)}`,
        )}
        series={drawn.map(({ name, x, y }) => ({ label: name, x, y, draw: "line" }))}
        xFormat="time"
        xLabel={words.data.taken}
        yLabel={words.data.psi}
      />
      {table(lines.slice(0, FEW))}
      {lines.length > FEW && <Fold title={words.data.more(lines.length)}>{() => table(lines)}</Fold>}
    </Stack>
  );
}

interface SnapshotsProps {
  group: string;
  reference: string | null;
  snapshots: SnapshotRow[];
}

function Snapshots({ group, reference, snapshots }: SnapshotsProps) {
  return (
    <Sheet
      columns={[
        { key: "ref", head: words.data.snapshot },
        { key: "taken", head: words.data.taken },
        { key: "rows", head: words.data.rows, end: true },
        { key: "quarantined", head: words.data.quarantined, end: true },
        { key: "share", head: words.data.share, end: true },
        { key: "what", head: <VisuallyHidden>{words.data.notes}</VisuallyHidden> },
      ]}
      label={words.data.snapshots}
    >
      {snapshots.map((row) => (
        <Table.Row key={row.ref}>
          <Table.Cell whiteSpace="nowrap">
            <To to={to.snapshot(group, row.ref)}>{row.ref}</To>
          </Table.Cell>
          <Table.Cell whiteSpace="nowrap">
            <When at={row.said.at} /> {row.said.by}
          </Table.Cell>
          <Table.Cell textAlign="end">{count(row.rows)}</Table.Cell>
          <Table.Cell textAlign="end">{count(row.quarantined)}</Table.Cell>
          <Table.Cell textAlign="end">{share(row.quarantined / (row.rows + row.quarantined || 1))}</Table.Cell>
          <Table.Cell>
            {row.ref === reference && (
              <Badge colorPalette="green" title={words.data.referenceLong}>
                {words.data.reference}
              </Badge>
            )}
            {row.removed && <Removed />}
          </Table.Cell>
        </Table.Row>
      ))}
    </Sheet>
  );
}
