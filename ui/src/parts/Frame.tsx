/** What stands around every page: the places to go, and the search. */

import { Box, Flex, Heading, Input } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";
import { useNavigate } from "react-router-dom";
import { words } from "../words";
import { to } from "./address";
import { To } from "./small";

export function Frame({ children }: { children: ReactNode }) {
  const [query, setQuery] = useState("");
  const navigate = useNavigate();
  return (
    <Box height="100%" overflowY="auto" p={4}>
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
                if (query.trim()) navigate(to.search(query.trim()));
              }}
            >
              <Input
                aria-label={words.app.search}
                onChange={(event) => setQuery(event.target.value)}
                placeholder={words.app.searchFor}
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
