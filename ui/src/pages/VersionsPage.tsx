/** The versions of a group, newest first: found by node and stage, chosen to be compared. */

import { Badge, Box, Button, Flex, NativeSelect, Spinner, Table, Text, VisuallyHidden } from "@chakra-ui/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useRef, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router-dom";
import type { GroupPage, History, Stage, VersionRow, Versions } from "../api/types";
import { useLive } from "../live/live";
import { usePaged } from "../live/paged";
import { to } from "../parts/address";
import { Nothing, Shown } from "../parts/State";
import { StageBadge, When } from "../parts/small";
import { Trail } from "../parts/Trail";
import { Figures, Missed, Removed, RowLink } from "../parts/version";
import { count, words } from "../words";

const PAGE = 200; // versions that are asked for at once
const HEIGHT = 37; // px of a row
const STAGES: Stage[] = ["candidate", "staging", "production", "archived"];
const MOST = 6; // versions that fit side by side

export function VersionsPage() {
  const { group = "" } = useParams();
  const [asked, setAsked] = useSearchParams();
  const node = asked.get("node") ?? "";
  const stage = asked.get("stage") ?? "";
  const path = `groups/${encodeURIComponent(group)}`;
  const filter = new URLSearchParams({ ...(node && { node }), ...(stage && { stage }) });
  const about = useLive<GroupPage>(path, { every: 10_000 });
  // Small answers that change with whatever may change a row: a new version, a promotion, a release.
  const newest = useLive<Versions>(`${path}/versions?limit=1`);
  const latest = useLive<History>(`${path}/history?limit=1`);
  const pulse = newest.data && latest.data ? `${newest.data.total} ${latest.data.total}` : undefined;
  const { seen, more, isFetching } = usePaged<Versions>(`${path}/versions?${with_(filter, PAGE)}`, pulse);

  const set = (name: string, value: string) =>
    setAsked(
      (before) => {
        if (value) before.set(name, value);
        else before.delete(name);
        return before;
      },
      { replace: true },
    );
  const nodes = (about.data?.nodes ?? []).filter(({ kind }) => kind !== "api").map(({ name }) => name);
  return (
    <>
      <Trail group={group}>
        <Flex gap={2} ml="auto">
          <Choice
            all={words.versions.allNodes}
            label={words.versions.node}
            onChange={(value) => set("node", value)}
            options={[...new Set([...nodes, ...(node ? [node] : [])])].map((name) => [name, name])}
            value={node}
          />
          <Choice
            all={words.versions.allStages}
            label={words.versions.stage}
            onChange={(value) => set("stage", value)}
            options={STAGES.map((one) => [one, words.stage[one]])}
            value={stage}
          />
        </Flex>
      </Trail>
      <Shown seen={seen}>
        {(pages) => {
          const rows = pages.flatMap(({ versions }) => versions);
          if (rows.length > 0) {
            return (
              <Rows
                group={group}
                isFetching={isFetching}
                more={more}
                rows={rows}
                total={pages[0]?.total ?? rows.length}
              />
            );
          }
          if (!node && !stage) return <Nothing title={words.versions.none}>{words.versions.noneHow}</Nothing>;
          return (
            <Nothing title={words.versions.noneMatch}>
              <Button onClick={() => setAsked({}, { replace: true })} size="sm" variant="outline">
                {words.versions.clearFilter}
              </Button>
            </Nothing>
          );
        }}
      </Shown>
    </>
  );
}

function with_(filter: URLSearchParams, limit: number): string {
  return `${new URLSearchParams([...filter, ["limit", String(limit)]])}`;
}

function Choice(props: {
  label: string;
  all: string;
  value: string;
  options: [value: string, text: string][];
  onChange: (value: string) => void;
}) {
  return (
    <NativeSelect.Root size="sm" width="auto">
      <NativeSelect.Field
        aria-label={props.label}
        onChange={(event) => props.onChange(event.target.value)}
        value={props.value}
      >
        <option value="">{props.all}</option>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

interface RowsProps {
  group: string;
  rows: VersionRow[];
  total: number;
  more: (() => void) | null;
  isFetching: boolean;
}

function Rows({ group, rows, total, more, isFetching }: RowsProps) {
  const place = useRef<HTMLDivElement>(null);
  const [selected, setSelected] = useState<readonly string[]>([]);
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => place.current,
    estimateSize: () => HEIGHT,
    overscan: 12,
  });
  const drawn = list.getVirtualItems();
  const last = drawn.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - PAGE / 2) more();
  }, [more, last, rows.length]);

  const above = drawn[0]?.start ?? 0;
  const below = list.getTotalSize() - (drawn.at(-1)?.end ?? 0);
  const toggle = useCallback(
    (ref: string) =>
      setSelected((before) => (before.includes(ref) ? before.filter((one) => one !== ref) : [...before, ref])),
    [],
  );
  return (
    <>
      <Selected group={group} onClear={() => setSelected([])} selected={selected}>
        {words.versions.count(total, count(total))}
        {isFetching && <Spinner aria-label={words.versions.loadingMore} ml={2} size="xs" />}
      </Selected>
      <Box
        aria-label={words.versions.title}
        borderWidth="1px"
        height={`min(${(rows.length + 1) * HEIGHT + 20}px, max(20rem, 100dvh - 15rem))`}
        overflow="auto"
        ref={place}
        role="group"
        tabIndex={0}
      >
        <Table.Root aria-rowcount={total + 1} minWidth="56rem" size="sm" stickyHeader tableLayout="fixed">
          <Table.ColumnGroup>
            {["2.5rem", "16rem", "7rem", "8rem", "auto", "11rem"].map((width, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the columns never move
              <Table.Column key={index} width={width} />
            ))}
          </Table.ColumnGroup>
          <Table.Header>
            <Table.Row aria-rowindex={1} height={`${HEIGHT}px`}>
              <Table.ColumnHeader>
                <VisuallyHidden>{words.versions.compare}</VisuallyHidden>
              </Table.ColumnHeader>
              {[
                words.versions.version,
                words.versions.kind,
                words.versions.stage,
                words.versions.figures,
                words.versions.made,
              ].map((head) => (
                <Table.ColumnHeader key={head}>{head}</Table.ColumnHeader>
              ))}
            </Table.Row>
          </Table.Header>
          <Table.Body>
            {above > 0 && <Room height={above} />}
            {drawn.map(({ index, key }) => {
              const row = rows[index];
              return (
                row && (
                  <Line
                    group={group}
                    index={index}
                    isSelected={selected.includes(row.ref)}
                    key={key}
                    onSelect={
                      row.kind === "snapshot" || (selected.length >= MOST && !selected.includes(row.ref))
                        ? null
                        : toggle
                    }
                    row={row}
                  />
                )
              );
            })}
            {below > 0 && <Room height={below} />}
          </Table.Body>
        </Table.Root>
      </Box>
    </>
  );
}

/** Where rows stand that are out of sight. */
function Room({ height }: { height: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={6} style={{ height, padding: 0 }} />
    </tr>
  );
}

interface LineProps {
  group: string;
  row: VersionRow;
  index: number;
  isSelected: boolean;
  onSelect: ((ref: string) => void) | null;
}

/** Drawn once, and not again while the list is scrolled. */
const Line = memo(function Line({ group, row, index, isSelected, onSelect }: LineProps) {
  return (
    <Table.Row aria-rowindex={index + 2} bg={isSelected ? "bg.info" : undefined} height={`${HEIGHT}px`}>
      <Table.Cell py={0}>
        {row.kind !== "snapshot" && (
          // the browser's own: a list has thousands of rows
          <input
            aria-label={words.versions.select(row.ref)}
            checked={isSelected}
            disabled={onSelect === null}
            onChange={() => onSelect?.(row.ref)}
            style={{ accentColor: "var(--chakra-colors-blue-solid)", height: 16, verticalAlign: "middle", width: 16 }}
            type="checkbox"
          />
        )}
      </Table.Cell>
      <Table.Cell overflow="hidden" py={0} textOverflow="ellipsis" title={row.ref} whiteSpace="nowrap">
        <RowLink group={group} row={row} />
      </Table.Cell>
      <Table.Cell color="fg.muted" py={0} whiteSpace="nowrap">
        {words.kind[row.kind]}
      </Table.Cell>
      <Table.Cell py={0}>
        {row.stage && <StageBadge stage={row.stage} />}
        {row.removed && <Removed />}
      </Table.Cell>
      <Table.Cell overflow="hidden" py={0} textOverflow="ellipsis" whiteSpace="nowrap">
        <Missed of={row} /> <Figures of={row} />
      </Table.Cell>
      <Table.Cell overflow="hidden" py={0} textOverflow="ellipsis" title={row.said.why} whiteSpace="nowrap">
        <When at={row.at} /> <Text as="span">{row.by}</Text>
      </Table.Cell>
    </Table.Row>
  );
});

function Selected(props: {
  group: string;
  selected: readonly string[];
  onClear: () => void;
  children: React.ReactNode;
}) {
  const { group, selected, onClear, children } = props;
  const navigate = useNavigate();
  return (
    <Flex align="center" flexWrap="wrap" gap={2} mb={2} minHeight={8}>
      <Text aria-live="polite" color="fg.muted" fontSize="sm">
        {children}
      </Text>
      {selected.length === 0 ? (
        <Text color="fg.muted" fontSize="sm" ml="auto">
          {words.versions.compareHint}
        </Text>
      ) : (
        <Flex align="center" flexWrap="wrap" gap={2} ml="auto">
          {selected.map((ref) => (
            <Badge key={ref}>{ref}</Badge>
          ))}
          <Button onClick={onClear} size="xs" variant="ghost">
            {words.versions.clear}
          </Button>
          <Button disabled={selected.length < 2} onClick={() => navigate(to.compare(group, [...selected]))} size="xs">
            {words.versions.compare}
          </Button>
        </Flex>
      )}
    </Flex>
  );
}
