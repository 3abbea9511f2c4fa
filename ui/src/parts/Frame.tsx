/** What stands around every page: the places to go, and the search. */

import { Box, Flex, Heading, Input } from "@chakra-ui/react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useLocation, useNavigate, useSearchParams } from "react-router-dom";
import { words } from "../words";
import { to } from "./address";
import { To } from "./small";

const typed = { typed: true };

export function Frame({ children }: { children: ReactNode }) {
  const navigate = useNavigate();
  const { pathname, state } = useLocation();
  const [asked] = useSearchParams();
  const isSearching = `${pathname}?q=` === to.search("");
  const inAddress = isSearching ? (asked.get("q") ?? "") : "";
  const [query, setQuery] = useState(inAddress);
  useEffect(() => setQuery(inAddress), [inAddress]);
  const search = (text: string) => {
    setQuery(text);
    // on the page of the search, what is typed stands in the address; all of it is one step back
    if (isSearching) navigate(to.search(text), { replace: true, state: typed });
  };
  // Airflow may draw the plugin anew on another page: whoever was typing goes on typing.
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if ((state as { typed?: boolean } | null)?.typed) box.current?.focus();
  }, [state]);
  return (
    <Box data-lockstep="" height="100%" overflowY="auto" p={4}>
      <Flex align="center" as="header" flexWrap="wrap" gap={4} mb={4}>
        <Heading size="lg">{words.app.title}</Heading>
        <Flex as="nav" aria-label={words.app.title} gap={4}>
          <To to={to.groups}>{words.app.groups}</To>
          <To to={to.warnings}>{words.app.warnings}</To>
        </Flex>
        <Box asChild flex={1} maxWidth="28rem" minWidth="12rem" ml="auto">
          <search>
            <form
              onSubmit={(event) => {
                event.preventDefault();
                if (query.trim()) navigate(to.search(query.trim()), { replace: isSearching, state: typed });
              }}
            >
              <Input
                aria-label={words.app.search}
                onChange={(event) => search(event.target.value)}
                placeholder={words.app.searchFor}
                ref={box}
                size="sm"
                type="search"
                value={query}
              />
            </form>
          </search>
        </Box>
      </Flex>
      {children}
    </Box>
  );
}
