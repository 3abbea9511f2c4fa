/** Where one is: the group, its pages, and the page's own name as a heading. */

import { Box, Flex, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { words } from "../words";
import { to } from "./address";
import { To } from "./small";

export function Trail({
  group,
  steps = [],
  title,
  children,
}: {
  group: string;
  steps?: [name: string, address: string][];
  title: ReactNode;
  children?: ReactNode;
}) {
  return (
    <Box mb={3}>
      <Flex aria-label={words.parts.trail} as="nav" flexWrap="wrap" fontSize="sm" gap={2}>
        {[[group, to.group(group)] as const, ...steps].map(([name, address]) => (
          <Flex gap={2} key={address}>
            <To to={address}>{name}</To>
            <Box aria-hidden color="fg.muted">
              /
            </Box>
          </Flex>
        ))}
      </Flex>
      <Flex align="center" columnGap={3} flexWrap="wrap" rowGap={1}>
        <Heading as="h2" size="md">
          {title}
        </Heading>
        {children}
      </Flex>
    </Box>
  );
}
