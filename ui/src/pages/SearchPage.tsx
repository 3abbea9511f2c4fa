/** What is found for the words in the URL, over all groups that one may see. */

import { Badge, Box, Flex, Stack, Text } from "@chakra-ui/react";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { useSearchParams } from "react-router-dom";
import type { Found, Hit } from "../api/types";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Nothing, Problems, Shown } from "../parts/State";
import { To } from "../parts/small";
import { words } from "../words";
import { addressOf, moved } from "./hits";

const EVERY = 5000; // ms: who searches reads

export function SearchPage() {
  const [asked] = useSearchParams();
  const query = (asked.get("q") ?? "").trim();
  const seen = useLive<Found>(query ? `search?${new URLSearchParams({ q: query })}` : null, {
    every: EVERY,
    keep: true,
  });
  if (!query) return <Nothing title={words.app.search}>{words.search.hint}</Nothing>;
  return (
    <Shown seen={seen}>
      {({ hits, more, problems }) => (
        <>
          <Problems all={problems} />
          {hits.length === 0 ? (
            <Nothing title={words.app.nothingFound(query)}>{words.search.hint}</Nothing>
          ) : (
            <Hits hits={hits} more={more} />
          )}
        </>
      )}
    </Shown>
  );
}

function Hits({ hits, more }: { hits: Hit[]; more: boolean }) {
  const list = useRef<HTMLDivElement>(null);
  const links = () => [...(list.current?.querySelectorAll<HTMLAnchorElement>("a[data-hit]") ?? [])];

  // From the search box the arrow goes down into the list, and from its first line back.
  useEffect(() => {
    const down = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "ArrowDown" || !isSearchBox(event.target)) return;
      const first = list.current?.querySelector<HTMLAnchorElement>("a[data-hit]");
      if (!first) return;
      event.preventDefault();
      first.focus();
    };
    document.addEventListener("keydown", down);
    return () => document.removeEventListener("keydown", down);
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const all = links();
    const next = moved(all.indexOf(document.activeElement as HTMLAnchorElement), event.key, all.length);
    if (next === null) return;
    event.preventDefault();
    if (next >= 0) all[next]?.focus();
    else document.querySelector<HTMLInputElement>("search input[type=search]")?.focus();
  };

  return (
    <>
      <Flex color="fg.muted" fontSize="sm" gap={3} justify="space-between" mb={2}>
        <Text aria-live="polite">{words.search.found(hits.length, more)}</Text>
        <Text hideBelow="md">{words.search.hintKeys}</Text>
      </Flex>
      <Stack as="ul" gap={0} listStyleType="none" onKeyDown={onKeyDown} ref={list}>
        {hits.map((hit) => (
          <Line hit={hit} key={`${hit.what} ${hit.group} ${hit.title} ${hit.says}`} />
        ))}
      </Stack>
      {more && (
        <Text color="fg.muted" fontSize="sm" mt={2}>
          {words.search.more}
        </Text>
      )}
    </>
  );
}

const isSearchBox = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement && target.type === "search";

function Line({ hit }: { hit: Hit }) {
  return (
    <Flex as="li" align="baseline" borderBottomWidth="1px" columnGap={3} flexWrap="wrap" px={1} py={2}>
      <Box minWidth="5.5rem">
        <Badge>{words.search.what[hit.what]}</Badge>
      </Box>
      <To data-hit to={addressOf(hit)}>
        {hit.title}
      </To>
      <Text color="fg.muted" fontSize="sm" minWidth={0} overflowWrap="anywhere">
        {hit.says}
      </Text>
      <Box fontSize="sm" ml="auto">
        {hit.what !== "group" && <To to={to.group(hit.group)}>{hit.group}</To>}
      </Box>
    </Flex>
  );
}
