/** Names with what they are, below one another. */

import { Box, Grid } from "@chakra-ui/react";
import { Fragment, type ReactNode } from "react";

export type Fact = [name: string, value: ReactNode];

export function Facts({ facts }: { facts: (Fact | false | null | undefined | "")[] }) {
  return (
    <Grid as="dl" columnGap={4} fontSize="sm" rowGap={1} templateColumns="minmax(6rem, auto) minmax(0, 1fr)">
      {facts
        .filter((fact) => Array.isArray(fact))
        .map(([name, value]) => (
          <Fragment key={name}>
            <Box as="dt" color="fg.muted">
              {name}
            </Box>
            <Box as="dd" m={0} minWidth={0} overflowWrap="anywhere">
              {value}
            </Box>
          </Fragment>
        ))}
    </Grid>
  );
}
