/** The numbers of a chart as a table. */

import { Box, Table } from "@chakra-ui/react";
import { words } from "../words";
import { type ChartProps, shown } from "./Chart";

const MOST = 2000; // rows

export function Numbers({ caption, series, xLabel, yLabel, xFormat = "figure", yFormat = "figure" }: ChartProps) {
  const first = series[0];
  const alike = first !== undefined && series.every(({ x }) => x.length === first.x.length && sameX(x, first.x));
  const steps = series.some(({ draw }) => draw === "step" || draw === "filled");
  const edge = (x: readonly number[], row: number) =>
    steps ? `${shown(x[row], xFormat)}–${shown(x[row + 1], xFormat)}` : shown(x[row], xFormat);
  const length = (x: readonly number[]) => Math.min(MOST, steps ? x.length - 1 : x.length);
  return (
    <Box aria-label={caption} maxHeight="20rem" overflow="auto" role="group" tabIndex={0}>
      <Table.Root css={{ "& td, & th": { paddingBlock: 1 } }} size="sm" stickyHeader>
        <Table.Header>
          <Table.Row>
            {!alike && <Table.ColumnHeader>{words.charts.series}</Table.ColumnHeader>}
            <Table.ColumnHeader>{xLabel}</Table.ColumnHeader>
            {(alike ? series.map(({ label }) => label) : [yLabel]).map((label) => (
              <Table.ColumnHeader key={label} textAlign="end">
                {label}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {alike
            ? Array.from({ length: length(first.x) }, (_, row) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the place is what a point is known by
                <Table.Row key={row}>
                  <Table.Cell>{edge(first.x, row)}</Table.Cell>
                  {series.map(({ label, y }) => (
                    <Table.Cell key={label} textAlign="end">
                      {shown(y[row], yFormat)}
                    </Table.Cell>
                  ))}
                </Table.Row>
              ))
            : series.flatMap(({ label, x, y }) =>
                Array.from({ length: length(x) }, (_, row) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the place is what a point is known by
                  <Table.Row key={`${label} ${row}`}>
                    <Table.Cell>{label}</Table.Cell>
                    <Table.Cell>{edge(x, row)}</Table.Cell>
                    <Table.Cell textAlign="end">{shown(y[row], yFormat)}</Table.Cell>
                  </Table.Row>
                )),
              )}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

const sameX = (one: readonly number[], other: readonly number[]): boolean =>
  one.every((value, index) => value === other[index]);
