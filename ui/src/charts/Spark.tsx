/** A histogram no larger than a word. */

import { Box } from "@chakra-ui/react";
import type { Bins } from "../api/types";
import { rebinned } from "./histogram";

const WIDTH = 120;
const HEIGHT = 28;
const MOST = 40; // bars

export function Spark({ bins, says }: { bins: Bins; says: string }) {
  const heights = bars(bins);
  const most = Math.max(...heights, 1);
  const width = WIDTH / heights.length;
  return (
    <Box asChild color="fg.info">
      <svg aria-label={says} height={HEIGHT} role="img" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH}>
        <title>{says}</title>
        {heights.map((rows, index) => (
          <rect
            fill="currentColor"
            height={(rows / most) * HEIGHT}
            // biome-ignore lint/suspicious/noArrayIndexKey: a bin is known by its place
            key={index}
            width={Math.max(width - 0.5, 0.5)}
            x={index * width}
            y={HEIGHT - (rows / most) * HEIGHT}
          />
        ))}
      </svg>
    </Box>
  );
}

/** At most forty of them. */
export function bars(bins: Bins): number[] {
  const every = Math.ceil(bins.counts.length / MOST) || 1;
  return rebinned(bins, bins.start, bins.width * every, Math.ceil(bins.counts.length / every));
}
