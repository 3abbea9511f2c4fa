/** Where one is: the group with its pages, and below them the name of the page, if it is none of these. */

import { Box, Flex, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { PagesOf } from "../pages/GroupPage";
import { to } from "./address";
import { To } from "./small";

export function Trail({ group, title, children }: { group: string; title?: ReactNode; children?: ReactNode }) {
  return (
    <Box mb={3}>
      <Heading as="h2" size="lg">
        <To to={to.group(group)}>{group}</To>
      </Heading>
      <PagesOf group={group} />
      {(title || children) && (
        <Flex align="center" columnGap={3} flexWrap="wrap" mt={3} rowGap={1}>
          {title && (
            <Heading as="h3" overflowWrap="anywhere" size="md">
              {title}
            </Heading>
          )}
          {children}
        </Flex>
      )}
    </Box>
  );
}
