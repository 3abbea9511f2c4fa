/** A part of a page under its heading. */

import { Box, Flex, Heading } from "@chakra-ui/react";
import { type ReactNode, useId } from "react";

export function Section({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <Box aria-labelledby={id} as="section" borderRadius="md" borderWidth="1px" minWidth={0} p={3}>
      <Flex align="baseline" flexWrap="wrap" gap={2} justify="space-between" mb={2}>
        <Heading as="h3" id={id} size="sm">
          {title}
        </Heading>
        {aside}
      </Flex>
      {children}
    </Box>
  );
}
