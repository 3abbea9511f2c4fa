/** All release groups: what is in step, what is not, and what waits for somebody. */

import { Badge, Box, Button, Flex, Input, NativeSelect, Text } from "@chakra-ui/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useMemo, useRef, useState } from "react";
import type { GroupSummary, Groups } from "../api/types";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Nothing, Problem, Shown } from "../parts/State";
import { GateBadge, To, When } from "../parts/small";
import { count, figure, words } from "../words";
import { FILTERS, type Filter, fits, listed, type Order } from "./grouping";

const said = words.groups;
const ROW = 68; // px, about; rows are measured
const COLUMNS = { base: "1fr", lg: "minmax(12rem, 1.2fr) 2.4fr 1.4fr 1.2fr 1.4fr" };

export function GroupsPage() {
  const seen = useLive<Groups>("groups");
  return (
    <Shown seen={seen}>
      {({ groups, problem }) => (
        <>
          {problem && <Problem>{problem}</Problem>}
          {groups.length > 0 && <List groups={groups} />}
          {groups.length === 0 && !problem && <Nothing title={said.noneYet}>{said.noneYetWhy}</Nothing>}
        </>
      )}
    </Shown>
  );
}

function List({ groups }: { groups: GroupSummary[] }) {
  const [text, setText] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const [order, setOrder] = useState<Order>("gate");
  const rows = useMemo(() => listed(groups, text, filter, order), [groups, text, filter, order]);
  return (
    <>
      <Flex align="center" gap={2} mb={3} wrap="wrap">
        <Input
          aria-label={said.filter}
          maxWidth="16rem"
          onChange={(event) => setText(event.target.value)}
          placeholder={said.filter}
          size="sm"
          value={text}
        />
        {FILTERS.map((one) => (
          <Button
            aria-pressed={filter === one}
            key={one}
            onClick={() => setFilter(one)}
            size="xs"
            variant={filter === one ? "subtle" : "outline"}
          >
            {said.only[one]} ({count(groups.filter((group) => fits(group, one)).length)})
          </Button>
        ))}
        <NativeSelect.Root ml="auto" size="sm" width="auto">
          <NativeSelect.Field
            aria-label={said.order.label}
            onChange={(event) => setOrder(event.target.value as Order)}
            value={order}
          >
            {(["gate", "name", "production"] as const).map((one) => (
              <option key={one} value={one}>
                {said.order[one]}
              </option>
            ))}
          </NativeSelect.Field>
          <NativeSelect.Indicator />
        </NativeSelect.Root>
      </Flex>
      {rows.length === 0 ? <Nothing title={said.none} /> : <Rows rows={rows} />}
    </>
  );
}

function Rows({ rows }: { rows: GroupSummary[] }) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    getItemKey: (index) => rows[index]?.name ?? index,
    overscan: 8,
  });
  return (
    <Box borderRadius="md" borderWidth={1} role="table" aria-label={words.app.groups} aria-rowcount={rows.length}>
      <Box
        bg="bg.subtle"
        borderBottomWidth={1}
        display={{ base: "none", lg: "grid" }}
        fontSize="sm"
        fontWeight="semibold"
        gap={3}
        gridTemplateColumns={COLUMNS}
        px={3}
        py={2}
        role="row"
      >
        {(["name", "gate", "production", "data", "attention"] as const).map((column) => (
          <Box key={column} role="columnheader">
            {said.columns[column]}
          </Box>
        ))}
      </Box>
      <Box maxHeight="calc(100vh - 16rem)" overflowY="auto" ref={box} role="rowgroup" tabIndex={0}>
        <Box height={`${virtual.getTotalSize()}px`} position="relative" role="presentation">
          {virtual.getVirtualItems().map(({ index, key, start }) => {
            const group = rows[index];
            return (
              group && (
                <Box
                  data-index={index}
                  key={key}
                  left={0}
                  position="absolute"
                  ref={virtual.measureElement}
                  role="presentation"
                  top={0}
                  transform={`translateY(${start}px)`}
                  width="100%"
                >
                  <Row group={group} index={index} />
                </Box>
              )
            );
          })}
        </Box>
      </Box>
    </Box>
  );
}

/** Drawn once, and not again while the list is scrolled. */
const Row = memo(function Row({ group, index }: { group: GroupSummary; index: number }) {
  const { gate, counts } = group;
  const more = gate ? gate.blocked - gate.reasons.length : 0;
  return (
    <Box
      aria-rowindex={index + 1}
      borderBottomWidth={1}
      display="grid"
      fontSize="sm"
      gap={{ base: 1, lg: 3 }}
      gridTemplateColumns={COLUMNS}
      px={3}
      py={2}
      role="row"
    >
      <Box role="cell" minWidth={0}>
        <Box fontWeight="semibold">
          <To to={to.group(group.name)}>{group.name}</To>
        </Box>
        <Text color="fg.muted" fontSize="xs" truncate>
          {said.members(counts.models, counts.thresholds, counts.apis)}
        </Text>
      </Box>
      <Box role="cell" minWidth={0}>
        {gate && <GateBadge status={gate.status} />}
        {gate?.status === "closed" && (
          <Text color="fg.muted" fontSize="xs" lineClamp={2} title={gate.reasons.join("\n")}>
            {gate.reasons[0]}
            {more > 0 && ` ${said.moreReasons(more)}`}
          </Text>
        )}
        {group.problem && (
          <Text color="fg.warning" fontSize="xs" lineClamp={2} title={group.problem}>
            {group.problem}
          </Text>
        )}
      </Box>
      <Box role="cell">
        {group.production ? (
          <>
            <When at={group.production.said.at} />
            <Text color="fg.muted" fontSize="xs">
              {group.production.release.slice(0, 12)}, {group.production.said.by}
            </Text>
          </>
        ) : (
          <Text color="fg.muted">{said.neverReleased}</Text>
        )}
      </Box>
      <Box role="cell">
        <Data group={group} />
      </Box>
      <Flex align="start" gap={1} role="cell" wrap="wrap">
        {group.waiting && <Badge colorPalette="blue">{said.waits}</Badge>}
        {group.hold && <Badge colorPalette="orange">{said.onHold}</Badge>}
        {group.due && (
          <Badge colorPalette="purple" title={group.due.says}>
            {said.due}
          </Badge>
        )}
        {group.warnings > 0 && <To to={to.warnings}>{said.warnings(group.warnings)}</To>}
      </Flex>
    </Box>
  );
});

function Data({ group: { drift } }: { group: GroupSummary }) {
  if (!drift) return null;
  const text = drift.drifted && drift.worst ? said.drift(drift.worst.column, figure(drift.worst.psi)) : said.noDrift;
  return (
    <Text color={drift.drifted ? "fg.warning" : "fg.muted"} title={drift.says}>
      {text}
    </Text>
  );
}
