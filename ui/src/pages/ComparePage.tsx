/** Versions side by side, with what differs set off. */

import { Box, Button, Flex, Grid, IconButton, Stack, Switch, Table, Text, VisuallyHidden } from "@chakra-ui/react";
import { useState } from "react";
import { useParams, useSearchParams } from "react-router-dom";
import type { VersionPage } from "../api/types";
import { useLiveAll } from "../live/live";
import { to } from "../parts/address";
import { Section } from "../parts/Section";
import { Nothing, Shown } from "../parts/State";
import { StageBadge, To, When } from "../parts/small";
import { Trail } from "../parts/Trail";
import { figure, signed, words } from "../words";
import { byName, type Compared, compared, delta, type Row, type Value } from "./compare";
import { CurveChart } from "./VersionCharts";

const MOST = 6;

export const refsOf = (text: string | null): string[] =>
  [...new Set((text ?? "").split(",").filter(Boolean))].slice(0, MOST);

export function ComparePage() {
  const { group = "" } = useParams();
  const [asked, setAsked] = useSearchParams();
  const refs = refsOf(asked.get("refs"));
  const only = asked.get("only") === "differences";
  const base = `groups/${encodeURIComponent(group)}/versions/`;
  const seen = useLiveAll<VersionPage>(refs.map((ref) => base + encodeURIComponent(ref)));
  const set = (name: string, value: string | null) =>
    setAsked(
      (before) => {
        if (value === null) before.delete(name);
        else before.set(name, value);
        return before;
      },
      { replace: true },
    );
  return (
    <>
      <Trail group={group} title={words.compare.title}>
        <Switch.Root
          checked={only}
          ml="auto"
          onCheckedChange={({ checked }) => set("only", checked ? "differences" : null)}
          size="sm"
        >
          <Switch.HiddenInput />
          <Switch.Control />
          <Switch.Label>{words.compare.onlyDifferences}</Switch.Label>
        </Switch.Root>
      </Trail>
      {refs.length < 2 ? (
        <Nothing title={words.compare.tooFew}>
          <To to={to.versions(group)}>{words.compare.tooFewHow}</To>
        </Nothing>
      ) : (
        <Shown lines={10} seen={seen}>
          {(pages) => (
            <SideBySide
              group={group}
              onLeave={(ref) => set("refs", refs.filter((one) => one !== ref).join(","))}
              only={only}
              pages={pages}
            />
          )}
        </Shown>
      )}
    </>
  );
}

interface Props {
  group: string;
  pages: VersionPage[];
  only: boolean;
  onLeave: (ref: string) => void;
}

function SideBySide({ group, pages, only, onLeave }: Props) {
  const overlays = byName(pages);
  return (
    <Stack gap={3}>
      <Box
        aria-label={words.compare.title}
        overflow="auto"
        maxHeight="max(24rem, 100dvh - 14rem)"
        role="group"
        tabIndex={0}
      >
        <Table.Root css={{ "& td, & th": { paddingBlock: 1.5 } }} size="sm" stickyHeader>
          <Table.Header>
            <Table.Row>
              <Table.ColumnHeader bg="bg" left={0} minWidth="8rem" position="sticky" zIndex={2}>
                <VisuallyHidden>{words.version.metric}</VisuallyHidden>
              </Table.ColumnHeader>
              {pages.map((page) => (
                <Table.ColumnHeader key={page.ref} minWidth="11rem" verticalAlign="top">
                  <Flex align="center" gap={2}>
                    <To to={to.version(group, page.ref)}>{page.ref}</To>
                    {page.stage && <StageBadge stage={page.stage} />}
                    {pages.length > 2 && (
                      <IconButton
                        aria-label={words.compare.remove(page.ref)}
                        onClick={() => onLeave(page.ref)}
                        size="2xs"
                        variant="ghost"
                      >
                        ×
                      </IconButton>
                    )}
                  </Flex>
                  <Text color="fg.muted" fontSize="xs" fontWeight="normal">
                    <When at={page.at} /> {page.by}
                  </Text>
                </Table.ColumnHeader>
              ))}
            </Table.Row>
          </Table.Header>
          <Table.Body>
            {compared(pages).map((part) => (
              <Part key={part.part} of={part} only={only} width={pages.length} />
            ))}
          </Table.Body>
        </Table.Root>
      </Box>
      {overlays.length > 0 && (
        <Section title={words.version.curves}>
          <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", lg: "repeat(2, minmax(0, 1fr))" }}>
            {overlays.map((overlay) => (
              <CurveChart key={`${overlay.name} ${overlay.y_label}`} overlay={overlay} />
            ))}
          </Grid>
        </Section>
      )}
    </Stack>
  );
}

const LONG = 12; // lines

function Part({ of, only, width }: { of: Compared; only: boolean; width: number }) {
  const [all, setAll] = useState(of.rows.length <= LONG);
  const rows = only || !all ? of.rows.filter(({ differs }) => differs) : of.rows;
  const hidden = of.rows.length - rows.length;
  return (
    <>
      <Table.Row>
        <Table.ColumnHeader bg="bg.subtle" colSpan={width + 1} scope="colgroup">
          <Flex gap={3}>
            {words.compare.parts[of.part]}
            {hidden > 0 && (
              <Text color="fg.muted" fontWeight="normal">
                {rows.length === 0 ? words.compare.same : words.compare.hidden(hidden)}
              </Text>
            )}
            {hidden > 0 && !only && (
              <Button onClick={() => setAll(true)} size="2xs" variant="outline">
                {words.compare.showAll}
              </Button>
            )}
          </Flex>
        </Table.ColumnHeader>
      </Table.Row>
      {rows.map((row) => (
        <Line key={row.name} row={row} />
      ))}
    </>
  );
}

function Line({ row }: { row: Row }) {
  const first = row.values[0] ?? null;
  return (
    <Table.Row>
      <Table.ColumnHeader
        bg="bg"
        fontWeight={row.differs ? "semibold" : "normal"}
        left={0}
        overflowWrap="anywhere"
        position="sticky"
        scope="row"
        verticalAlign="top"
      >
        {row.name}
        {row.differs && (
          <>
            <VisuallyHidden> {words.compare.differs}</VisuallyHidden>
            <Text aria-hidden as="span" color="fg.info" ms={2}>
              ≠
            </Text>
          </>
        )}
      </Table.ColumnHeader>
      {row.values.map((value, index) => (
        <Table.Cell
          bg={row.differs ? "bg.muted" : undefined}
          color={row.differs ? undefined : "fg.muted"}
          // biome-ignore lint/suspicious/noArrayIndexKey: a column is a version
          key={index}
          maxWidth="22rem"
          overflowWrap="anywhere"
          verticalAlign="top"
        >
          <Shows value={value} />
          {index > 0 && <Delta by={delta(value, first)} />}
        </Table.Cell>
      ))}
    </Table.Row>
  );
}

function Shows({ value }: { value: Value }) {
  if (typeof value === "string" && value.length > 160) {
    return (
      <Box as="span" display="block" fontSize="xs" maxHeight="8rem" overflow="auto" tabIndex={0} whiteSpace="pre-wrap">
        {value}
      </Box>
    );
  }
  return <>{typeof value === "number" ? figure(value) : (value ?? "–")}</>;
}

function Delta({ by }: { by: number | null }) {
  if (by === null) return null;
  return (
    <Text as="span" color="fg.muted" fontSize="xs" ml={2}>
      {signed(by)}
    </Text>
  );
}
