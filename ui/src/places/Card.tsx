/** The card on Airflow's dashboard: what is out of step, and what waits for a person. */

import { Box, Heading, Stack } from "@chakra-ui/react";
import type { Summary } from "../api/types";
import { Live, useLive } from "../live/live";
import { to } from "../parts/address";
import { Shown } from "../parts/State";
import { To } from "../parts/small";
import { words } from "../words";

export function Card() {
  return (
    <Live>
      <Box borderRadius={5} borderWidth={1} p={4}>
        <Heading size="sm">
          <To to={to.groups}>{words.app.title}</To>
        </Heading>
        <Lines />
      </Box>
    </Live>
  );
}

function Lines() {
  const seen = useLive<Summary>("summary");
  return (
    <Shown lines={1} seen={seen}>
      {(summary) => {
        const lines = [
          summary.out_of_step.length && words.card.outOfStep(summary.out_of_step.length),
          summary.waiting.length && words.card.waiting(summary.waiting.length),
          summary.on_hold.length && words.card.onHold(summary.on_hold.length),
          summary.due.length && words.card.due(summary.due.length),
          ...summary.problems,
        ].filter((line) => typeof line === "string");
        const calm = summary.groups ? words.card.inStep : words.card.none;
        return (
          <Stack gap={1}>
            {(lines.length ? lines : [calm]).map((line) => (
              <Box key={line}>{line}</Box>
            ))}
          </Stack>
        );
      }}
    </Shown>
  );
}
