/** What happened to a group: releases, rollbacks, promotions, words, holds; newest first. */

import { Badge, Box, Button, Flex, Stack, Text } from "@chakra-ui/react";
import { useParams, useSearchParams } from "react-router-dom";
import { HoldOrResume, Rollback } from "../actions";
import type { DagAction, GroupPage, History, HistoryEvent, HistoryKind } from "../api/types";
import { useLive } from "../live/live";
import { usePaged } from "../live/paged";
import { to } from "../parts/address";
import { Fold } from "../parts/Fold";
import { TaskLink } from "../parts/JobLinks";
import { Pick } from "../parts/Pick";
import { Nothing, Notice, Shown } from "../parts/State";
import { SaidLine, To, VersionLink, When } from "../parts/small";
import { Trail } from "../parts/Trail";
import { count, day, words } from "../words";
import { backTo, byDay, type Change, changed, FILTERS, type Filter, filterOf, moves } from "./timeline";

const PAGE = 40; // events that are asked for at once

export function ReleasesPage() {
  const { group = "" } = useParams();
  const [asked, setAsked] = useSearchParams();
  const filter = filterOf(asked.get("show"));
  const path = `groups/${encodeURIComponent(group)}/history?limit=`;
  const kinds = FILTERS[filter].map((kind) => `&kind=${kind}`).join("");
  const newest = useLive<History>(`${path}1`);
  const pulse = newest.data && `${newest.data.total} ${newest.data.events[0]?.said.entry}`;
  const { seen, more, isFetching } = usePaged<History>(`${path}${PAGE}${kinds}`, pulse);
  const about = useLive<GroupPage>(`groups/${encodeURIComponent(group)}`);
  return (
    <>
      <Trail group={group}>
        {about.data && <HoldOrResume group={about.data} key={String(about.data.hold !== null)} />}
        <Box ml="auto">
          <Pick
            label={words.releases.filter}
            onPick={(show) => setAsked(show === "all" ? {} : { show }, { replace: true })}
            options={(Object.keys(FILTERS) as Filter[]).map((one) => [one, words.releases.filters[one]])}
            picked={filter}
          />
        </Box>
      </Trail>
      {about.data?.hold && (
        <Notice status="warning" title={words.group.onHold}>
          <SaidLine onColour said={about.data.hold} />
        </Notice>
      )}
      <Shown lines={8} seen={seen}>
        {(pages) => {
          const events = pages.flatMap((page) => page.events);
          if (events.length === 0) {
            return filter === "all" ? (
              <Nothing title={words.releases.none}>{words.releases.noneHow}</Nothing>
            ) : (
              <Nothing title={words.releases.noneMatch} />
            );
          }
          return (
            <>
              <Text color="fg.muted" fontSize="sm" mt={2}>
                {words.releases.count(count(pages[0]?.total ?? events.length))}
              </Text>
              <Timeline
                complete={pages.at(-1)?.next === null}
                events={events}
                filter={filter}
                group={group}
                rollback={about.data?.dags.rollback ?? null}
              />
              {(more || isFetching) && (
                <Button
                  disabled={!more}
                  loading={isFetching}
                  mt={3}
                  onClick={() => more?.()}
                  size="sm"
                  variant="outline"
                >
                  {words.releases.older}
                </Button>
              )}
            </>
          );
        }}
      </Shown>
    </>
  );
}

interface Props {
  group: string;
  events: HistoryEvent[];
  filter: Filter;
  complete: boolean;
  rollback: DagAction | null;
}

function Timeline({ group, events, filter, complete, rollback }: Props) {
  const known = filter === "all" || filter === "releases"; // the release before is among them
  const moved = changed(events, complete);
  const now = events.find(({ is_production, kind }) => is_production && moves(kind)); // a set may stand there twice
  const targets = backTo(events);
  const place = new Map(events.map((event, index) => [event, known ? (moved[index] ?? null) : null]));
  return (
    <Stack gap={4} mt={2}>
      {byDay(events, day).map(([date, those]) => (
        <Box as="section" key={date}>
          <Text as="h3" color="fg.muted" fontSize="sm" mb={1}>
            {date}
          </Text>
          <Stack as="ol" borderStartWidth="2px" gap={0} listStyleType="none" ms="7px">
            {those.map((event) => (
              <Event
                changes={place.get(event) ?? null}
                event={event}
                group={group}
                isNow={event === now}
                rollback={targets.has(event) ? rollback : null}
                key={event.said.entry}
              />
            ))}
          </Stack>
        </Box>
      ))}
    </Stack>
  );
}

const TONES: Record<HistoryKind, string> = {
  released: "green.solid",
  rolled_back: "orange.solid",
  promoted: "blue.solid",
  approved: "green.muted",
  rejected: "red.solid",
  held: "orange.muted",
  resumed: "gray.muted",
};

interface EventProps {
  group: string;
  event: HistoryEvent;
  isNow: boolean;
  changes: Change[] | null;
  rollback: DagAction | null;
}

function Event({ group, event, isNow, changes, rollback }: EventProps) {
  const { kind, said, digest, members } = event;
  const large = moves(kind);
  return (
    <Box as="li" fontSize="sm" pb={3} position="relative" ps={4}>
      <Box
        aria-hidden
        bg={TONES[kind]}
        borderRadius="full"
        height={large ? "14px" : "10px"}
        left={large ? "-8px" : "-6px"}
        position="absolute"
        top={large ? "4px" : "6px"}
        width={large ? "14px" : "10px"}
      />
      <Flex align="baseline" columnGap={2} flexWrap="wrap">
        <Text as="span" fontWeight={large ? "semibold" : "medium"}>
          {words.releases.kind[kind]}
        </Text>
        {digest && <Named event={event} group={group} />}
        {event.left && (
          <Text color="fg.muted" fontSize="sm">
            {words.releases.left(event.left.slice(0, 12))}
          </Text>
        )}
        {isNow && <Badge colorPalette="green">{words.releases.production}</Badge>}
        <Text color="fg.muted" fontSize="sm">
          <When at={said.at} /> · {said.by}
        </Text>
        <Flex align="center" fontSize="sm" gap={3} ml="auto">
          {rollback && digest && <Rollback dag={rollback} group={group} release={digest} />}
          {said.job && <TaskLink job={said.job} />}
          {digest && event.has_diff && <To to={to.diff(group, digest)}>{words.releases.whatChanged}</To>}
        </Flex>
      </Flex>
      {said.why && <Text fontSize="sm">{said.why}</Text>}
      {changes ? (
        <Changes changes={changes} group={group} of={Object.keys(members).length} />
      ) : (
        kind === "promoted" && <Members group={group} members={members} />
      )}
    </Box>
  );
}

function Named({ group, event: { kind, digest } }: { group: string; event: HistoryEvent }) {
  const short = (digest ?? "").slice(0, 12);
  return kind === "promoted" || !digest ? <Text as="code">{short}</Text> : <To to={to.diff(group, digest)}>{short}</To>;
}

function Members({ group, members }: { group: string; members: Record<string, string> }) {
  return (
    <Flex columnGap={3} flexWrap="wrap" fontSize="sm">
      {Object.values(members)
        .filter(Boolean)
        .map((ref) => (
          <VersionLink group={group} key={ref} version={ref} />
        ))}
    </Flex>
  );
}

const FEW = 8;

function Changes({ group, changes, of }: { group: string; changes: Change[]; of: number }) {
  if (changes.length === 0) return <Text fontSize="sm">{words.releases.same}</Text>;
  const lines = (some: Change[]) => (
    <Flex as="ul" columnGap={5} flexWrap="wrap" fontSize="sm" listStyleType="none">
      {some.map(({ name, from, to: now }) => (
        <Box as="li" key={name}>
          {from ? <VersionLink group={group} version={from} /> : `${name} (${words.releases.added})`} →{" "}
          {now ? <VersionLink group={group} version={now} /> : words.releases.gone}
        </Box>
      ))}
    </Flex>
  );
  return (
    <>
      <Text color="fg.muted" fontSize="sm">
        {words.releases.changed(changes.length, of)}
      </Text>
      {lines(changes.slice(0, FEW))}
      {changes.length > FEW && (
        <Fold title={words.version.importanceMore(changes.length - FEW)}>{() => lines(changes.slice(FEW))}</Fold>
      )}
    </>
  );
}
