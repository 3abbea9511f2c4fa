/**
 * Named bars, as a table: name, bar, number. With what is uncertain as a whisker.
 *
 * Rules:
 * - The numbers stand beside the bars; the bars say nothing that the numbers don't.
 */

import { Box, Table, VisuallyHidden } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { ends } from "./align";
import { SERIES } from "./colours";

export interface Bar {
  label: string;
  /** Beside the label, as a version's link. */
  note?: ReactNode;
  value: number;
  low?: number;
  high?: number;
  text: string;
  like?: number;
}

export function Bars({
  caption,
  bars,
  most,
  heads,
}: {
  caption: string;
  bars: Bar[];
  most?: number;
  heads?: string[];
}) {
  const [low, high] = span(bars, most);
  const place = (value: number) => `${((Math.min(Math.max(value, low), high) - low) / (high - low)) * 100}%`;
  const width = (from: number, to: number) => `${((Math.min(to, high) - Math.max(from, low)) / (high - low)) * 100}%`;
  return (
    <Box overflowX="auto">
      <Table.Root size="sm">
        <VisuallyHidden asChild>
          <caption>{caption}</caption>
        </VisuallyHidden>
        {heads && (
          <Table.Header>
            <Table.Row>
              {heads.map((head, index) => (
                <Table.ColumnHeader key={head} textAlign={index === 2 ? "end" : "start"}>
                  {head}
                </Table.ColumnHeader>
              ))}
            </Table.Row>
          </Table.Header>
        )}
        <Table.Body>
          {bars.map(({ label, note, value, low: from, high: to, text, like = 0 }) => (
            <Table.Row key={label}>
              <Table.ColumnHeader
                fontWeight="normal"
                minWidth="5rem"
                overflowWrap="anywhere"
                py={1}
                scope="row"
                width="20%"
              >
                {label} {note}
              </Table.ColumnHeader>
              <Table.Cell minWidth="4rem" py={1}>
                <Box aria-hidden height="1rem" position="relative">
                  <Box
                    bg={{ _light: colour("light", like), _dark: colour("dark", like) }}
                    borderRadius="2px"
                    height="100%"
                    left={place(Math.min(value, 0))}
                    minWidth={value === 0 ? 0 : "1px"}
                    opacity={0.75}
                    position="absolute"
                    width={width(Math.min(value, 0), Math.max(value, 0))}
                  />
                  {from !== undefined && to !== undefined && to > from && (
                    <Box
                      borderColor="fg"
                      borderXWidth="2px"
                      height="60%"
                      left={place(from)}
                      position="absolute"
                      top="20%"
                      width={width(from, to)}
                    >
                      <Box bg="fg" height="2px" position="absolute" top="calc(50% - 1px)" width="100%" />
                    </Box>
                  )}
                </Box>
              </Table.Cell>
              <Table.Cell
                fontVariantNumeric="tabular-nums"
                py={1}
                textAlign="end"
                whiteSpace={{ base: "normal", md: "nowrap" }}
                width="1%"
              >
                {text}
              </Table.Cell>
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

/** From where to where the bars reach: zero is always in it. */
export function span(bars: readonly Pick<Bar, "value" | "low" | "high">[], most?: number): [number, number] {
  const [low, high] = ends(bars.flatMap((bar) => [bar.value, bar.low ?? bar.value, bar.high ?? bar.value]).concat(0));
  const top = Math.max(high, most ?? high);
  return top > low ? [low, top] : [0, 1];
}

function colour(mode: "light" | "dark", like: number): string {
  return SERIES[mode][like % SERIES[mode].length] ?? SERIES[mode][0];
}
