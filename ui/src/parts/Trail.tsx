/** Where one is: the group with its pages, and the page's own name as a heading. */

import { Flex, Heading, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { words } from "../words";
import { to } from "./address";
import { To } from "./small";

type Place = "versions" | "releases" | "data";

interface Props {
  group: string;
  /** Which of the group's pages this is, or is below. */
  place: Place;
  title?: ReactNode;
  children?: ReactNode;
}

export function Trail({ group, place, title, children }: Props) {
  const places: [Place, string, string][] = [
    ["versions", words.versions.title, to.versions(group)],
    ["releases", words.releases.title, to.releases(group)],
    ["data", words.data.title, to.data(group)],
  ];
  return (
    <Flex as="header" direction="column" gap={1} mb={3}>
      <Flex align="baseline" aria-label={words.parts.trail} as="nav" columnGap={4} flexWrap="wrap" fontSize="sm">
        <Text as="span" fontWeight="semibold">
          <To to={to.group(group)}>{group}</To>
        </Text>
        {places.map(([name, text, address]) =>
          name === place && !title ? (
            <Text aria-current="page" as="span" fontWeight="semibold" key={name}>
              {text}
            </Text>
          ) : (
            <To key={name} to={address} {...(name === place && { "aria-current": "true" })}>
              {text}
            </To>
          ),
        )}
      </Flex>
      <Flex align="center" columnGap={3} flexWrap="wrap" rowGap={1}>
        <Heading as="h2" size="md">
          {title ?? places.find(([name]) => name === place)?.[1]}
        </Heading>
        {children}
      </Flex>
    </Flex>
  );
}
